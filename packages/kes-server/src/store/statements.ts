/** Every statement that a running server needs, prepared once. */
import type Database from 'better-sqlite3'

interface Block {
  readonly begin: Database.Statement<[]>
  readonly commit: Database.Statement<[]>
  readonly rollback: readonly Database.Statement<[]>[]
}

type Statement<Parameters extends unknown[]> = Database.Statement<Parameters>

export interface Statements {
  readonly TRANSACTION: Block
  readonly SAVEPOINT: Block
  /** Of reads; nothing is written in it. */
  readonly SNAPSHOT: { readonly begin: Statement<[]>; readonly end: Statement<[]> }
  readonly has: Statement<[string]>
  readonly read: Statement<[string]>
  readonly mac: Statement<[string]>
  readonly insert: Statement<unknown[]>
  readonly replace: Statement<unknown[]>
  readonly erase: Statement<[string]> // Gives the sealed bytes.
  readonly namesFrom: Statement<[string, string, number]>
  readonly namesAfter: Statement<[string, string, number]>
  readonly count: Statement<[]>
  readonly countsByState: Statement<[]>
  readonly hasPending: Statement<[]>
  readonly dueNames: Statement<[number, number, number]>
  readonly namesScheduledAfter: Statement<[number]>
  readonly runningTime: Statement<[]>
  readonly setRunningTime: Statement<[number, number, Uint8Array]>
  readonly readErased: Statement<[string]>
  readonly insertErased: Statement<unknown[]>
  readonly erasedNamesAfter: Statement<[string, number]>
  readonly dropErased: Statement<[string]>
  readonly journalKey: Statement<[]>
  readonly insertJournalKey: Statement<[Uint8Array]>
  readonly appendEntry: Statement<[number, string, Uint8Array, Uint8Array]>
  readonly lastEntry: Statement<[]>
  readonly entries: Statement<[number, number]>
  readonly namesOfEntries: Statement<[number, number]>
  readonly lastEntryOf: Statement<[string]>
  readonly entriesOf: Statement<[string, number, number]>
  readonly entriesBefore: Statement<[string, number, number]>
  readonly insertBackup: Statement<[number, string, string]>
  readonly backupsAfter: Statement<[number, number]>
  readonly countBackupsAfter: Statement<[number]>
  readonly rootGeneration: Statement<[]>
  readonly hasOldRoot: Statement<[]>
  readonly keysOfOldRoot: Statement<[after: number, below: number, limit: number]>
  readonly erasedOfOldRoot: Statement<[after: number, below: number, limit: number]>
  readonly countOfOldRoot: Statement<[below: number, below: number]>
  readonly dataVersion: Statement<[]>
  readonly totalChanges: Statement<[]>
  readonly probe: Statement<[]>
}

export function prepareStatements(db: Database.Database): Statements {
  const transaction: Block = {
    begin: db.prepare('BEGIN IMMEDIATE'), // A deferred one could fail after its first read.
    commit: db.prepare('COMMIT'),
    rollback: [db.prepare('ROLLBACK')],
  }
  const savepoint: Block = {
    begin: db.prepare('SAVEPOINT part'),
    commit: db.prepare('RELEASE part'),
    rollback: [db.prepare('ROLLBACK TO part'), db.prepare('RELEASE part')],
  }
  return {
    TRANSACTION: transaction,
    SAVEPOINT: savepoint,
    SNAPSHOT: { begin: db.prepare('BEGIN'), end: db.prepare('COMMIT') },

    has: db.prepare<[string]>('SELECT 1 FROM keys WHERE name = ?'),
    read: db.prepare<[string]>('SELECT * FROM keys WHERE name = ?'),
    mac: db.prepare<[string]>('SELECT mac FROM keys WHERE name = ?').pluck(),
    insert: db.prepare(`
      INSERT INTO keys (name, key_id, algorithm, created_at, created_by, state, revision, changed_at, changed_by,
        journal_entry, root_generation, delete_at, running_from, waiting, mac, sealed)
      VALUES (:name, :key_id, :algorithm, :created_at, :created_by, :state, :revision, :changed_at, :changed_by,
        :journal_entry, :root_generation, :delete_at, :running_from, :waiting, :mac, :sealed)`),
    replace: db.prepare(`
      UPDATE keys SET key_id = :key_id, algorithm = :algorithm, created_at = :created_at, created_by = :created_by,
        state = :state, revision = :revision, changed_at = :changed_at, changed_by = :changed_by,
        journal_entry = :journal_entry, delete_at = :delete_at, running_from = :running_from, waiting = :waiting,
        root_generation = :root_generation, mac = :mac, sealed = :sealed
      WHERE name = :name AND revision = :expected_revision`),
    erase: db.prepare<[string]>('DELETE FROM keys WHERE name = ? RETURNING sealed'),
    namesFrom: db
      .prepare<[string, string, number]>(
        'SELECT name FROM keys WHERE name >= ? AND name < ? ORDER BY name LIMIT ?',
      )
      .pluck(),
    namesAfter: db
      .prepare<[string, string, number]>(
        'SELECT name FROM keys WHERE name > ? AND name < ? ORDER BY name LIMIT ?',
      )
      .pluck(),
    count: db.prepare<[]>('SELECT count(*) FROM keys').pluck(),
    countsByState: db.prepare<[]>(
      `SELECT state, count(*) AS count FROM keys WHERE typeof(state) = 'integer' AND state >= 0 GROUP BY state`,
    ),

    // `state = 2` as it stands in the index `keys_pending`, which is empty in most stores.
    hasPending: db.prepare<[]>('SELECT EXISTS (SELECT 1 FROM keys WHERE state = 2)').pluck(),
    dueNames: db
      .prepare<[number, number, number]>(
        `SELECT name FROM keys WHERE state = 2 AND delete_at <= ? AND running_from + waiting <= ?
          ORDER BY delete_at LIMIT ?`,
      )
      .pluck(),
    namesScheduledAfter: db
      .prepare<[number]>(
        'SELECT name FROM keys WHERE state = 2 AND running_from > ? ORDER BY running_from DESC',
      )
      .pluck(),
    runningTime: db.prepare<[]>('SELECT * FROM running_time WHERE id = 1'),
    setRunningTime: db.prepare<[number, number, Uint8Array]>(
      'INSERT OR REPLACE INTO running_time (id, running_ms, monotonic_ms, mac) VALUES (1, ?, ?, ?)',
    ),

    readErased: db.prepare<[string]>('SELECT * FROM erased_names WHERE name = ?'),
    insertErased: db.prepare(`
      INSERT INTO erased_names (name, key_id, erased_at, erased_by, root_generation, mac)
      VALUES (:name, :key_id, :erased_at, :erased_by, :root_generation, :mac)
      ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, erased_at = excluded.erased_at,
        erased_by = excluded.erased_by, root_generation = excluded.root_generation, mac = excluded.mac`),
    erasedNamesAfter: db
      .prepare<[string, number]>('SELECT name FROM erased_names WHERE name > ? ORDER BY name LIMIT ?')
      .pluck(),
    dropErased: db.prepare<[string]>('DELETE FROM erased_names WHERE name = ?'),

    journalKey: db.prepare<[]>('SELECT sealed FROM journal_key ORDER BY id LIMIT 1'),
    insertJournalKey: db.prepare<[Uint8Array]>('INSERT INTO journal_key (id, sealed) VALUES (1, ?)'),
    appendEntry: db.prepare<[number, string, Uint8Array, Uint8Array]>(
      'INSERT INTO journal (number, name, entry, signature) VALUES (?, ?, ?, ?)',
    ),
    lastEntry: db.prepare<[]>('SELECT * FROM journal ORDER BY number DESC LIMIT 1'),
    entries: db.prepare<[number, number]>('SELECT * FROM journal WHERE number > ? ORDER BY number LIMIT ?'),
    namesOfEntries: db.prepare<[number, number]>(
      'SELECT number, name FROM journal WHERE number > ? ORDER BY number LIMIT ?',
    ),
    lastEntryOf: db.prepare<[string]>('SELECT * FROM journal WHERE name = ? ORDER BY number DESC LIMIT 1'),
    entriesOf: db.prepare<[string, number, number]>(
      'SELECT * FROM journal WHERE name = ? AND number > ? ORDER BY number LIMIT ?',
    ),
    entriesBefore: db.prepare<[string, number, number]>(
      'SELECT * FROM journal WHERE name = ? AND number < ? ORDER BY number DESC LIMIT ?',
    ),

    insertBackup: db.prepare<[number, string, string]>(
      'INSERT INTO backups (number, backup_id, made_at) VALUES (?, ?, ?)',
    ),
    backupsAfter: db.prepare<[number, number]>(
      'SELECT * FROM backups WHERE number > ? ORDER BY number DESC LIMIT ?',
    ),
    countBackupsAfter: db.prepare<[number]>('SELECT count(*) FROM backups WHERE number > ?').pluck(),

    rootGeneration: db.prepare<[]>('SELECT root_generation FROM store').pluck(),
    hasOldRoot: db.prepare<[]>('SELECT 1 FROM old_root'),
    keysOfOldRoot: db.prepare<[number, number, number]>(
      'SELECT id, name FROM keys WHERE id > ? AND root_generation < ? ORDER BY id LIMIT ?',
    ),
    erasedOfOldRoot: db.prepare<[number, number, number]>(
      'SELECT id, name FROM erased_names WHERE id > ? AND root_generation < ? ORDER BY id LIMIT ?',
    ),
    countOfOldRoot: db
      .prepare<[number, number]>(
        `SELECT (SELECT count(*) FROM keys WHERE root_generation < ?)
          + (SELECT count(*) FROM erased_names WHERE root_generation < ?)`,
      )
      .pluck(),

    dataVersion: db.prepare<[]>('PRAGMA data_version').pluck(),
    totalChanges: db.prepare<[]>('SELECT total_changes()').pluck(),
    probe: db.prepare<[]>('SELECT 1 FROM keys LIMIT 1'),
  }
}
