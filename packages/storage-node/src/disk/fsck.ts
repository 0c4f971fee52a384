/**
 * Checks a store, and repairs it from its files. The index is made anew from them beside the one that is there, and
 * what differs is a problem; a repair puts the new one in its place. No content is ever deleted: files that nothing
 * names are moved to `lost/`, an index that was replaced is kept as `index.db.replaced`.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import Database from 'better-sqlite3'
import { checkDataFolder } from './data-folder.ts'
import { DataDamagedError, IndexDamagedError } from './errors.ts'
import { FileFolder, readTail } from './file-folder.ts'
import { FolderLock } from './folder-lock.ts'
import { openIndex } from './index-file.ts'
import { ObjectIndex } from './object-index.ts'
import { rebuildIndex, removeDatabase } from './rebuild-index.ts'
import { CHECKED_BYTES } from './record-file.ts'
import { sweep } from './sweep.ts'

export interface FsckProblem {
  /** What it concerns: the index, a file of the folder, or an object. */
  readonly of: 'index' | 'file' | 'bucket' | 'object' | 'upload'
  readonly bucket?: string
  readonly key?: string
  readonly file?: string
  readonly text: string
}

export interface FsckReport {
  readonly buckets: number
  readonly objects: number
  readonly uploads: number
  readonly problems: readonly FsckProblem[]
  /** A new index is in place. */
  readonly isRepaired: boolean
}

export interface FsckOptions {
  readonly repair?: boolean
  /** Also reads all content that has checksums. Encrypted content is checked when it is decrypted, and only then. */
  readonly content?: boolean
  readonly onProgress?: (done: number, total: number) => void
}

const INDEX = 'index.db'
const NEW_INDEX = 'index.db.new'
const REPLACED_INDEX = 'index.db.replaced'
const STAGING = 'fsck.db'
const LOST = 'lost'

/**
 * @param path - of the data folder.
 * @throws {@link DataFolderLockedError} while a node uses it, {@link NotADataFolderError}
 */
export async function fsck(path: string, options: FsckOptions = {}): Promise<FsckReport> {
  checkDataFolder(path)
  using _ = FolderLock.acquire(path)
  const folder = new FileFolder(path)
  const newIndex = join(path, NEW_INDEX)
  const problems: FsckProblem[] = []
  const isReadable = await sweepIndex(folder, path, problems)
  removeDatabase(newIndex)
  try {
    const check = options.content ? (id: string) => checkContent(folder, id) : undefined
    const { onProgress } = options
    const rebuilt = await rebuildIndex(folder, newIndex, join(path, STAGING), { onProgress, check })
    for (const { file, problem } of rebuilt.damaged) problems.push({ of: 'file', file, text: problem })
    for (const { problem, ...object } of rebuilt.incomplete)
      problems.push({ of: 'object', ...object, text: problem })
    for (const file of rebuilt.unclaimed) problems.push({ of: 'file', file, text: 'nothing names it' })
    if (isReadable) problems.push(...differences(join(path, INDEX), newIndex))
    const counts = countsOf(newIndex)
    const isRepaired = options.repair === true && problems.length > 0
    if (isRepaired) {
      for (const file of rebuilt.unclaimed) moveToLost(folder, path, file)
      replaceIndex(path)
    }
    return { ...counts, problems, isRepaired }
  } finally {
    removeDatabase(newIndex)
  }
}

/** What a killed node left behind is no problem: the next start would remove it, too. */
async function sweepIndex(folder: FileFolder, path: string, problems: FsckProblem[]): Promise<boolean> {
  if (!existsSync(join(path, INDEX))) {
    problems.push({ of: 'index', text: 'the index is gone' })
    return false
  }
  try {
    const db = openIndex(join(path, INDEX))
    try {
      await sweep(folder, new ObjectIndex(db), db)
    } finally {
      db.close()
    }
    return true
  } catch (error) {
    if (!(error instanceof IndexDamagedError)) throw error
    problems.push({ of: 'index', text: error.message })
    return false
  }
}

/** @throws {@link DataDamagedError} */
async function checkContent(folder: FileFolder, id: string): Promise<void> {
  using file = folder.open(id)
  const { contentBytes, checksums } = await readTail(file)
  const buffer = Buffer.allocUnsafe(CHECKED_BYTES)
  for (const [block, checksum] of checksums.entries()) {
    const at = block * CHECKED_BYTES
    const content = await file.readExactly(at, Math.min(CHECKED_BYTES, contentBytes - at), buffer)
    if (crc32(content) !== checksum) throw new DataDamagedError('a checksum is wrong')
  }
}

interface Difference {
  readonly bucket: string
  readonly key: Buffer | null
}

/** Each finds rows of one index that the other does not have alike. */
const COMPARISONS: readonly (readonly [of: FsckProblem['of'], sql: string])[] = [
  [
    'bucket',
    `SELECT b.name AS bucket, NULL AS key FROM a.bucket b WHERE NOT EXISTS
     (SELECT 1 FROM b.bucket o WHERE o.name = b.name AND o.file = b.file AND o.revision = b.revision)`,
  ],
  [
    'object',
    `SELECT bucket.name AS bucket, x.key FROM a.object x JOIN a.bucket bucket ON bucket.id = x.bucket
     WHERE NOT EXISTS (SELECT 1 FROM b.bucket ob JOIN b.object o ON o.bucket = ob.id WHERE ob.name = bucket.name
     AND o.key = x.key AND o.file = x.file AND o.revision = x.revision AND o.size = x.size AND o.etag = x.etag
     AND o.parts = x.parts)`,
  ],
  [
    'upload',
    `SELECT bucket.name AS bucket, x.key FROM a.upload x JOIN a.bucket bucket ON bucket.id = x.bucket
     WHERE NOT EXISTS (SELECT 1 FROM b.upload o WHERE o.id = x.id AND o.revision = x.revision AND
     (SELECT count(*) FROM a.part WHERE upload = x.id) = (SELECT count(*) FROM b.part WHERE upload = x.id))`,
  ],
]

function differences(index: string, newIndex: string): FsckProblem[] {
  const db = new Database(':memory:')
  try {
    db.prepare('ATTACH ? AS a').run(index)
    db.prepare('ATTACH ? AS b').run(newIndex)
    const missing = compare(db, 'the index has it, and the files do not have it so')
    db.exec('DETACH a')
    db.exec('DETACH b')
    db.prepare('ATTACH ? AS a').run(newIndex)
    db.prepare('ATTACH ? AS b').run(index)
    return [...missing, ...compare(db, 'the files have it, and the index does not have it so')]
  } finally {
    db.close()
  }
}

function compare(db: Database.Database, text: string): FsckProblem[] {
  return COMPARISONS.flatMap(([of, sql]) =>
    db
      .prepare<[], Difference>(sql)
      .all()
      .map(({ bucket, key }) => ({ of, bucket, ...(key && { key: key.toString() }), text })),
  )
}

function countsOf(index: string): Pick<FsckReport, 'buckets' | 'objects' | 'uploads'> {
  const db = openIndex(index)
  try {
    const count = (table: string) => Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get())
    return { buckets: count('bucket'), objects: count('object'), uploads: count('upload') }
  } finally {
    db.close()
  }
}

function moveToLost(folder: FileFolder, path: string, file: string): void {
  mkdirSync(join(path, LOST), { recursive: true, mode: 0o700 })
  folder.moveAway(file, join(path, LOST, file))
}

function replaceIndex(path: string): void {
  removeDatabase(join(path, REPLACED_INDEX))
  // The new one was closed, so all of it is in its one file; of the old one, the log belongs to it.
  for (const suffix of ['', '-wal', '-shm']) {
    const from = join(path, `${INDEX}${suffix}`)
    if (existsSync(from)) renameSync(from, join(path, `${REPLACED_INDEX}${suffix}`))
  }
  renameSync(join(path, NEW_INDEX), join(path, INDEX))
}
