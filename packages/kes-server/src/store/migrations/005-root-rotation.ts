/**
 * Changing the root key while the store is in use: every row says under which root key it is sealed.
 *
 * Root keys are counted from 1. While rows of the one before are left, `old_root` holds it, sealed under the current
 * one, by its number.
 */
import type { Migration } from '../migrate.ts'

export const rootRotation: Migration = {
  version: 5,
  sql: `
    ALTER TABLE store ADD COLUMN root_generation INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE keys ADD COLUMN root_generation INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE erased_names ADD COLUMN root_generation INTEGER NOT NULL DEFAULT 1;

    CREATE TABLE old_root (
      generation INTEGER PRIMARY KEY,
      sealed     BLOB NOT NULL
    ) STRICT;
  `,
}
