/**
 * The first schema.
 *
 * Keys live in a rowid table, because a table WITHOUT ROWID left bytes of deleted rows behind in spite of
 * `secure_delete`. There are no CHECK constraints: a row that breaks one is that row's problem, found when it is
 * read, and must not keep the store from opening.
 */
import type { Migration } from '../migrate.ts'

export const initial: Migration = {
  version: 1,
  sql: `
    CREATE TABLE store (
      id         INTEGER PRIMARY KEY,
      store_id   BLOB NOT NULL,
      created_at TEXT NOT NULL,
      root_check BLOB NOT NULL
    ) STRICT;

    CREATE TABLE slots (
      id         INTEGER PRIMARY KEY AUTOINCREMENT,
      label      TEXT NOT NULL,
      created_at TEXT NOT NULL,
      record     BLOB NOT NULL
    ) STRICT;

    CREATE TABLE keys (
      id            INTEGER PRIMARY KEY,
      name          TEXT NOT NULL UNIQUE,
      key_id        BLOB NOT NULL,
      algorithm     TEXT NOT NULL,
      created_at    TEXT NOT NULL,
      created_by    TEXT NOT NULL,
      state         INTEGER NOT NULL,
      revision      INTEGER NOT NULL,
      changed_at    TEXT NOT NULL,
      changed_by    TEXT NOT NULL,
      journal_entry INTEGER NOT NULL,
      mac           BLOB NOT NULL,
      sealed        BLOB NOT NULL
    ) STRICT;

    CREATE TABLE erased_names (
      id        INTEGER PRIMARY KEY,
      name      TEXT NOT NULL UNIQUE,
      key_id    BLOB NOT NULL,
      erased_at TEXT NOT NULL,
      erased_by TEXT NOT NULL,
      mac       BLOB NOT NULL
    ) STRICT;
  `,
}
