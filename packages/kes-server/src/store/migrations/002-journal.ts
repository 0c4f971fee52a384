/**
 * The journal, and the sealed key that signs it.
 *
 * `journal.name` repeats what the entry says, so that the entries of one key are found without reading all. Entries
 * are never changed or deleted by this server; the signature of each, not SQLite, is what shows that nobody else did.
 */
import type { Migration } from '../migrate.ts'

export const journal: Migration = {
  version: 2,
  sql: `
    CREATE TABLE journal_key (
      id     INTEGER PRIMARY KEY,
      sealed BLOB NOT NULL
    ) STRICT;

    CREATE TABLE journal (
      number    INTEGER PRIMARY KEY,
      name      TEXT NOT NULL,
      entry     BLOB NOT NULL,
      signature BLOB NOT NULL
    ) STRICT;

    CREATE INDEX journal_by_name ON journal (name);
  `,
}
