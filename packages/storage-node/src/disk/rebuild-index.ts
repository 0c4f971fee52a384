/** Makes an index out of nothing but the files: of several records of one thing, the one of the highest revision. */
import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { DataDamagedError } from './errors.ts'
import { type FileFolder, readTail } from './file-folder.ts'
import { openIndex } from './index-file.ts'
import { type IndexedBucket, ObjectIndex } from './object-index.ts'
import type {
  BucketFile,
  FileRecord,
  ListingKeyFile,
  ObjectFile,
  PartFile,
  UploadFile,
} from './record-file.ts'

/** A file whose record can't be read. */
export interface DamagedFile {
  readonly file: string
  readonly problem: string
}

/** An object of which not all content is there. */
export interface IncompleteObject {
  readonly bucket: string
  readonly key: string
  readonly problem: string
}

export interface RebuiltIndex {
  readonly damaged: readonly DamagedFile[]
  readonly incomplete: readonly IncompleteObject[]
  /** Files that are whole, but that nothing names: superseded, or of a bucket that is gone. */
  readonly unclaimed: readonly string[]
}

export interface RebuildOptions {
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  /** Called for each file that can be read; what it throws as {@link DataDamagedError} is the file's damage. */
  readonly check?: ((id: string) => Promise<void>) | undefined
}

/** How many files are read at a time. */
const READERS = 8
const STAGED_AT_ONCE = 1000

interface StagedFile {
  readonly id: string
  readonly kind: FileRecord['kind']
  readonly revision: number
  readonly record: string
  readonly contentBytes: number
}

/**
 * @param path - of the new index; nothing may be there.
 * @param stagingPath - of a file for the work, which is gone afterwards.
 */
export async function rebuildIndex(
  folder: FileFolder,
  path: string,
  stagingPath: string,
  options: RebuildOptions = {},
): Promise<RebuiltIndex> {
  removeDatabase(stagingPath)
  const staging = new Database(stagingPath)
  try {
    staging.pragma('journal_mode = OFF')
    staging.exec(
      `CREATE TABLE staged (id TEXT PRIMARY KEY, kind TEXT NOT NULL, revision INTEGER NOT NULL, record TEXT NOT NULL,
       contentBytes INTEGER NOT NULL) STRICT;
       CREATE TABLE claimed (id TEXT PRIMARY KEY) STRICT`,
    )
    const damaged = await stage(folder, staging, options)
    staging.exec('CREATE INDEX staged_by_kind ON staged (kind, revision)')
    const db = openIndex(path)
    try {
      const rebuild = new Rebuild(staging, new ObjectIndex(db))
      db.transaction(() => rebuild.run())()
      return { damaged, incomplete: rebuild.incomplete, unclaimed: rebuild.unclaimed() }
    } finally {
      db.close()
    }
  } finally {
    staging.close()
    removeDatabase(stagingPath)
  }
}

/** A database with its log, if there is one. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true })
}

async function stage(
  folder: FileFolder,
  staging: Database.Database,
  { onProgress, check }: RebuildOptions,
): Promise<DamagedFile[]> {
  const damaged: DamagedFile[] = []
  const ids = [...folder.all()]
  const insert = staging.prepare(
    'INSERT OR REPLACE INTO staged VALUES (@id, @kind, @revision, @record, @contentBytes)',
  )
  const insertAll = staging.transaction((files: readonly StagedFile[]) => {
    for (const file of files) insert.run(file)
  })
  const read: StagedFile[] = []
  let next = 0
  const readSome = async () => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) {
      try {
        const file = await stagedFile(folder, id)
        await check?.(id)
        read.push(file)
      } catch (error) {
        if (!(error instanceof DataDamagedError)) throw error
        damaged.push({ file: id, problem: error.message })
      }
      if (read.length >= STAGED_AT_ONCE) insertAll(read.splice(0))
      onProgress?.(next, ids.length)
    }
  }
  await Promise.all(Array.from({ length: READERS }, readSome))
  insertAll(read)
  return damaged
}

async function stagedFile(folder: FileFolder, id: string): Promise<StagedFile> {
  using file = folder.open(id)
  const { record, contentBytes } = await readTail(file)
  return { id, kind: record.kind, revision: record.revision, record: JSON.stringify(record), contentBytes }
}

class Rebuild {
  readonly incomplete: IncompleteObject[] = []
  readonly #staging: Database.Database
  readonly #index: ObjectIndex
  /** By the file of the bucket's first record. */
  readonly #buckets = new Map<string, IndexedBucket>()
  /** Uploads that became objects: their records may not have been removed yet. */
  readonly #completed = new Set<string>()
  readonly #staged: Database.Statement<[string], StagedFile>
  readonly #claim: Database.Statement<[string]>

  constructor(staging: Database.Database, index: ObjectIndex) {
    this.#staging = staging
    this.#index = index
    this.#staged = staging.prepare<[string], StagedFile>('SELECT * FROM staged WHERE id = ?')
    this.#claim = staging.prepare('INSERT OR IGNORE INTO claimed VALUES (?)')
  }

  run(): void {
    this.#addBuckets()
    for (const { id, record } of this.#all<ObjectFile>('object')) this.#addObject(id, record)
    for (const bucket of this.#buckets.values()) this.#lookThrough(bucket)
    for (const { id, record } of this.#all<UploadFile>('upload')) this.#addUpload(id, record)
    for (const { id, record } of this.#all<PartFile>('part')) this.#addPart(id, record)
    for (const { id, record } of this.#all<ListingKeyFile>('listing-key')) this.#addListingKey(id, record)
    for (const bucket of this.#buckets.values()) {
      for (const { id } of this.#index.listingKeys(bucket)) this.#claim.run(id)
      for (const { id } of this.#index.uploadsOf(bucket)) {
        this.#claim.run(id)
        for (const { file } of this.#index.parts(id)) this.#claim.run(file)
      }
    }
  }

  unclaimed(): string[] {
    const ids = this.#staging.prepare<[], string>(
      'SELECT id FROM staged WHERE id NOT IN (SELECT id FROM claimed)',
    )
    return ids.pluck().all() as string[]
  }

  /** In the order of revisions, so that the last of several stays. */
  *#all<Kind extends FileRecord>(kind: Kind['kind']): Generator<{ id: string; record: Kind }> {
    const rows = this.#staging.prepare<[string, number, string], StagedFile>(
      `SELECT * FROM staged WHERE kind = ? AND (revision, id) > (?, ?) ORDER BY revision, id LIMIT ${STAGED_AT_ONCE}`,
    )
    // By portions: no other statement may run on a connection while one is iterated.
    for (let after: [number, string] = [-1, '']; ; ) {
      const portion = rows.all(kind, ...after)
      for (const { id, record } of portion) yield { id, record: JSON.parse(record) }
      const last = portion.at(-1)
      if (last === undefined) return
      after = [last.revision, last.id]
    }
  }

  #addBuckets(): void {
    const latest = new Map<string, { id: string; record: BucketFile }>()
    for (const file of this.#all<BucketFile>('bucket')) latest.set(file.record.firstFile, file)
    // Of several buckets of one name all but the last were deleted, and their records not removed yet.
    const named = new Map([...latest.values()].map((file) => [file.record.name, file]))
    for (const { id, record } of named.values()) {
      const { name, createdAt, firstFile, revision, settings } = record
      const bytes = settings === undefined ? undefined : Buffer.from(settings, 'base64')
      this.#index.putBucket({ name, createdAt, firstFile, file: id, revision, settings: bytes })
      const added = this.#index.bucket(name)
      if (added) this.#buckets.set(firstFile, added)
      this.#claim.run(id)
      this.#claim.run(firstFile)
    }
  }

  #addObject(file: string, record: ObjectFile): void {
    const bucket = this.#buckets.get(record.bucket)
    if (bucket === undefined) return
    const { listedEtag, kind: _, bucket: __, ...object } = record
    this.#index.putObject(bucket, {
      ...object,
      file,
      listedEtag: listedEtag && { ...listedEtag, sealed: Buffer.from(listedEtag.sealed, 'base64') },
    })
  }

  /** Sees which files the objects need, and whether they are there. */
  #lookThrough(bucket: IndexedBucket): void {
    for (let from = Buffer.alloc(0); ; ) {
      const keys = this.#index.objectKeys(bucket.id, from, STAGED_AT_ONCE)
      for (const { id } of keys) {
        const { key, file, parts } = this.#index.objectById(bucket, id)
        this.#claim.run(file)
        for (const part of parts) {
          const problem = this.#claimPart(part.file ?? file, part.storedBytes)
          if (problem !== undefined) this.incomplete.push({ bucket: bucket.name, key, problem })
        }
      }
      const last = keys.at(-1)
      if (last === undefined) return
      from = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  #claimPart(file: string, storedBytes: number): string | undefined {
    const staged = this.#staged.get(file)
    if (staged === undefined) return `its file ${file} is gone, or damaged`
    this.#claim.run(file)
    const record: FileRecord = JSON.parse(staged.record)
    if (record.kind === 'part') this.#completed.add(record.upload)
    return staged.contentBytes === storedBytes ? undefined : `its file ${file} has another length`
  }

  #addUpload(id: string, record: UploadFile): void {
    const bucket = this.#buckets.get(record.bucket)
    if (bucket === undefined || this.#completed.has(id)) return
    const { kind: _, bucket: __, ...upload } = record
    this.#index.putUpload(bucket, { ...upload, id })
  }

  #addPart(file: string, record: PartFile): void {
    const { kind: _, upload, ...part } = record
    if (!this.#index.hasUpload(upload)) return
    this.#index.putPart(upload, { ...part, file })
  }

  #addListingKey(id: string, record: ListingKeyFile): void {
    const bucket = this.#buckets.get(record.bucket)
    if (bucket === undefined) return
    const ciphertext = Buffer.from(record.ciphertext, 'base64')
    const key = { id, bucket: bucket.name, externalKey: record.externalKey, ciphertext }
    this.#index.putListingKey(bucket, key, record.revision)
  }
}
