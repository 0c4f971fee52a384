/** The SQLite file that knows every bucket, object and upload. All of it can be made anew from the store's files. */
import Database from 'better-sqlite3'
import { IndexDamagedError } from './errors.ts'
import { asStorageError, codeOf } from './file-folder.ts'

const SCHEMA_VERSION = 2
const APPLICATION_ID = 0x4c4b6e31 // "LKn1"

/**
 * Keys are BLOBs: SQLite compares them byte by byte, which is S3's order, and a NUL in them ends nothing. `revision`
 * is that of the file's record. `parts` is JSON, as in the record.
 */
const SCHEMA = `
CREATE TABLE bucket (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_file TEXT NOT NULL UNIQUE, file TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL, created_at INTEGER NOT NULL, settings BLOB
) STRICT;
CREATE TABLE object (
  id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, file TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL, modified_at INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
  internal TEXT NOT NULL, headers TEXT NOT NULL, parts TEXT NOT NULL, listing_key TEXT, listed_etag BLOB
) STRICT;
CREATE UNIQUE INDEX object_by_key ON object (bucket, key);
CREATE TABLE upload (
  id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, place BLOB NOT NULL, revision INTEGER NOT NULL,
  initiated_at INTEGER NOT NULL, internal TEXT NOT NULL, headers TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX upload_by_place ON upload (bucket, place);
CREATE TABLE part (
  upload TEXT NOT NULL, number INTEGER NOT NULL, file TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
  modified_at INTEGER NOT NULL, size INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
  is_checked INTEGER NOT NULL, PRIMARY KEY (upload, number)
) STRICT;
CREATE TABLE listing_key (
  id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, external_key TEXT NOT NULL, revision INTEGER NOT NULL,
  ciphertext BLOB NOT NULL, UNIQUE (bucket, external_key)
) STRICT;
-- Files that nothing names any more, and that have not been removed yet.
CREATE TABLE garbage (file TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
`

/**
 * The external key of an object or upload: the entry of `internal` that names it, under MinIO's name. Null for what is
 * not encrypted under one, and where a row is damaged.
 */
export const EXTERNAL_KEY = `CASE WHEN json_valid(internal)
  THEN json_extract(internal, '$."X-Minio-Internal-Server-Side-Encryption-S3-Kms-Key-Id"') END`

/** What an external key opens is found without a look at everything else. Since version 2. */
const BY_EXTERNAL_KEY = `
CREATE INDEX object_by_external_key ON object (${EXTERNAL_KEY}, size) WHERE ${EXTERNAL_KEY} IS NOT NULL;
CREATE INDEX upload_by_external_key ON upload (${EXTERNAL_KEY}) WHERE ${EXTERNAL_KEY} IS NOT NULL;
`

/**
 * Commits are brought to the disk by whoever makes them, not by SQLite, for whom the whole process would wait:
 * `synchronous=NORMAL` makes it sync at checkpoints alone.
 */
const SETTINGS = [
  'journal_mode = WAL',
  'synchronous = NORMAL',
  'fullfsync = ON',
  'checkpoint_fullfsync = ON',
  'trusted_schema = OFF',
  'cell_size_check = ON',
  'temp_store = MEMORY',
  'cache_size = -32768',
]

/**
 * @param path - of the file; it is made if it is missing.
 * @throws {@link IndexDamagedError} if it is no index, or was damaged.
 */
export function openIndex(path: string): Database.Database {
  let db: Database.Database | undefined
  try {
    db = new Database(path, { timeout: 0 })
    for (const setting of SETTINGS) db.pragma(setting)
    const version = Number(db.pragma('user_version', { simple: true }))
    if (version === 0 && db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0) {
      create(db)
    } else if (
      version < 1 ||
      version > SCHEMA_VERSION ||
      db.pragma('application_id', { simple: true }) !== APPLICATION_ID
    ) {
      throw new IndexDamagedError(`${path} is not an index of this version`)
    }
    const problem = db.pragma('quick_check(1)', { simple: true })
    if (problem !== 'ok') throw new IndexDamagedError(`${problem}`)
    if (version === 1) migrate(db)
    return db
  } catch (error) {
    db?.close()
    throw asIndexError(error)
  }
}

function create(db: Database.Database): void {
  db.transaction(() => {
    db.exec(SCHEMA)
    db.exec(BY_EXTERNAL_KEY)
    db.pragma(`application_id = ${APPLICATION_ID}`)
    db.pragma(`user_version = ${SCHEMA_VERSION}`)
  })()
}

/** Some 1.5 s for a million objects. */
function migrate(db: Database.Database): void {
  db.transaction(() => {
    db.exec(BY_EXTERNAL_KEY)
    db.pragma(`user_version = ${SCHEMA_VERSION}`)
  })()
}

const DAMAGE = /^SQLITE_(?:CORRUPT|NOTADB|IOERR_SHORT_READ|IOERR_CORRUPTFS)/

/** What SQLite says of a damaged file, as this store's own error; what it says of a full disk, too. */
export function asIndexError(error: unknown): unknown {
  const code = codeOf(error)
  if (error instanceof Error && typeof code === 'string' && DAMAGE.test(code)) {
    return new IndexDamagedError(error.message, { cause: error })
  }
  return asStorageError(error)
}
