/**
 * Which backups were made of this store, so that the receipt of an erasure names those that hold the key.
 *
 * `number` is that of the journal entry that says so; the table spares the search for it.
 */
import type { Migration } from '../migrate.ts'

export const backups: Migration = {
  version: 6,
  sql: `
    CREATE TABLE backups (
      number    INTEGER PRIMARY KEY,
      backup_id TEXT NOT NULL,
      made_at   TEXT NOT NULL
    ) STRICT;
  `,
}
