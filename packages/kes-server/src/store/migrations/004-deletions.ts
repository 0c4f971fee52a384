/**
 * Keys that are pending deletion, and how long servers have run on this store, by which their waiting is measured.
 *
 * `delete_at` is in milliseconds since 1970, `running_from` and `waiting` in milliseconds. They mean nothing in a key that
 * is not pending, and its MAC leaves them out, so that the MACs of older rows stay valid.
 */
import type { Migration } from '../migrate.ts'

export const deletions: Migration = {
  version: 4,
  sql: `
    ALTER TABLE keys ADD COLUMN delete_at    INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN running_from INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN waiting      INTEGER NOT NULL DEFAULT 0;

    CREATE INDEX keys_pending ON keys (delete_at) WHERE state = 2;

    CREATE TABLE running_time (
      id           INTEGER PRIMARY KEY,
      running_ms   INTEGER NOT NULL,
      monotonic_ms INTEGER NOT NULL,
      mac          BLOB NOT NULL
    ) STRICT;
  `,
}
