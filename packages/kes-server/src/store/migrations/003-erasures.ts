/**
 * Erased keys whose record may still stand in a file of the store, so that a restart goes on removing them.
 *
 * `head` and `tail` are what a later process searches for: the ends of the sealed record, every bit inverted, so that
 * the search does not find this row. A clean row is one whose removal nobody has been told of yet; its ends are empty.
 */
import type { Migration } from '../migrate.ts'

export const erasures: Migration = {
  version: 3,
  sql: `
    CREATE TABLE erasures (
      id       INTEGER PRIMARY KEY,
      name     TEXT NOT NULL,
      is_clean INTEGER NOT NULL,
      head     BLOB NOT NULL,
      tail     BLOB NOT NULL
    ) STRICT;

    CREATE INDEX erasures_by_name ON erasures (name);
  `,
}
