/** Rows of the index ↔ buckets, objects, uploads. Every method is one synchronous look or change. */
import assert from 'node:assert/strict'
import type Database from 'better-sqlite3'
import { asIndexError, EXTERNAL_KEY } from './index-file.ts'
import type {
  Bucket,
  KeyHoldings,
  ListedEtag,
  ListedObject,
  ListingKey,
  ObjectRecord,
  StoreTotals,
  Upload,
  UploadedPart,
} from './object-store.ts'
import type { FiledPart } from './record-file.ts'

export interface IndexedBucket extends Bucket {
  readonly id: number
  /** File of its first record. */
  readonly firstFile: string
  /** File of its last record. */
  readonly file: string
  readonly revision: number
}

export interface IndexedObject extends ObjectRecord {
  readonly file: string
  readonly parts: readonly FiledPart[]
}

export type IndexedUpload = Upload

export interface IndexedPart extends UploadedPart, FiledPart {
  readonly file: string
  readonly revision: number
}

interface BucketRow {
  readonly id: number
  readonly name: string
  readonly first_file: string
  readonly file: string
  readonly revision: number
  readonly created_at: number
  readonly settings: Buffer | null
}

interface ListedRow {
  readonly key: Buffer
  readonly modified_at: number
  readonly size: number
  readonly etag: string
  readonly listing_key: string | null
  readonly listed_etag: Buffer | null
}

interface ObjectRow extends ListedRow {
  readonly file: string
  readonly revision: number
  readonly internal: string
  readonly headers: string
  readonly parts: string
}

interface HeldRow {
  readonly bucket: string
  readonly key: Buffer
  readonly size: number
  readonly internal: string
}

interface UploadRow {
  readonly id: string
  readonly bucket: number
  readonly key: Buffer
  readonly revision: number
  readonly initiated_at: number
  readonly internal: string
  readonly headers: string
}

interface PartRow {
  readonly number: number
  readonly file: string
  readonly revision: number
  readonly modified_at: number
  readonly size: number
  readonly stored_bytes: number
  readonly etag: string
  readonly is_checked: number
}

interface ListingKeyRow {
  readonly id: string
  readonly external_key: string
  readonly ciphertext: Buffer
}

/** An entry of a listing, before all of it is read. */
export interface IndexedKey<Id> {
  readonly key: Buffer
  readonly place: Buffer
  readonly id: Id
}

/** Buckets, or listing keys of buckets, that are remembered. */
const REMEMBERED_MAX = 1000

export class ObjectIndex {
  readonly #db: Database.Database
  readonly #statements: ReturnType<typeof prepare>
  /** Rows that nearly every request needs, by the bucket's name and id, as they were committed. */
  readonly #buckets = new Map<string, IndexedBucket | undefined>()
  readonly #listingKeys = new Map<number, readonly ListingKey[]>()

  constructor(db: Database.Database) {
    this.#db = db
    this.#statements = prepare(db)
  }

  /** Above every revision that a record has. */
  highestRevision(): number {
    return Number(guarded(() => this.#statements.highestRevision.get()))
  }

  bucket(name: string): IndexedBucket | undefined {
    return this.#remembered(this.#buckets, name, () => {
      const row = guarded(() => this.#statements.bucket.get(name))
      return row && bucketOf(row)
    })
  }

  buckets(): IndexedBucket[] {
    return guarded(() => this.#statements.buckets.all()).map(bucketOf)
  }

  putBucket(bucket: Omit<IndexedBucket, 'id'>): void {
    this.#buckets.clear()
    this.#statements.putBucket.run(
      bucket.name,
      bucket.firstFile,
      bucket.file,
      bucket.revision,
      bucket.createdAt,
      bucket.settings ?? null,
    )
  }

  deleteBucket(id: number): void {
    this.#buckets.clear()
    this.#statements.deleteBucket.run(id)
  }

  hasObjects(bucket: number): boolean {
    return guarded(() => this.#statements.anyObject.get(bucket)) !== undefined
  }

  object(bucket: IndexedBucket, key: string): IndexedObject | undefined {
    const row = guarded(() => this.#statements.object.get(bucket.id, Buffer.from(key)))
    return row && objectOf(row, bucket.name)
  }

  objectById(bucket: IndexedBucket, id: number): IndexedObject {
    const row = guarded(() => this.#statements.objectById.get(id))
    assert(row)
    return objectOf(row, bucket.name)
  }

  listedObject(id: number): ListedObject {
    const row = guarded(() => this.#statements.listedObject.get(id))
    assert(row)
    return listedObjectOf(row)
  }

  /** From a key on, in the order of keys, which are their places. */
  objectKeys(bucket: number, from: Buffer, max: number): IndexedKey<number>[] {
    return guarded(() => this.#statements.objectKeys.all(bucket, from, max))
  }

  /** Keys from `from` to before `end`; without an end, to the last. */
  countObjects(bucket: number, from: Buffer, end: Buffer | undefined): number {
    const { countAll, countBefore } = this.#statements
    return Number(
      guarded(() => (end === undefined ? countAll.get(bucket, from) : countBefore.get(bucket, from, end))),
    )
  }

  putObject(bucket: IndexedBucket, object: Omit<IndexedObject, 'bucket'>): void {
    this.#statements.putObject.run(
      bucket.id,
      Buffer.from(object.key),
      object.file,
      object.revision,
      object.modifiedAt,
      object.size,
      object.etag,
      JSON.stringify(object.internal),
      JSON.stringify(object.headers),
      JSON.stringify(object.parts),
      object.listedEtag?.listingKey ?? null,
      object.listedEtag?.sealed ?? null,
    )
  }

  deleteObject(bucket: IndexedBucket, key: string): void {
    this.#statements.deleteObject.run(bucket.id, Buffer.from(key))
  }

  upload(bucket: IndexedBucket, key: string, id: string): IndexedUpload | undefined {
    const row = guarded(() => this.#statements.upload.get(id))
    if (row === undefined || row.bucket !== bucket.id || row.key.toString() !== key) return undefined
    return uploadOf(row, bucket.name)
  }

  /** From a place on: the key, a NUL and the id. */
  uploadKeys(bucket: number, from: Buffer, max: number): IndexedKey<string>[] {
    return guarded(() => this.#statements.uploadKeys.all(bucket, from, max))
  }

  uploadById(bucket: IndexedBucket, id: string): IndexedUpload {
    const row = guarded(() => this.#statements.upload.get(id))
    assert(row)
    return uploadOf(row, bucket.name)
  }

  uploadsOf(bucket: IndexedBucket): IndexedUpload[] {
    return guarded(() => this.#statements.uploadsOf.all(bucket.id)).map((row) => uploadOf(row, bucket.name))
  }

  hasUpload(id: string): boolean {
    return guarded(() => this.#statements.upload.get(id)) !== undefined
  }

  putUpload(bucket: IndexedBucket, upload: Omit<IndexedUpload, 'bucket'>): void {
    this.#statements.putUpload.run(
      upload.id,
      bucket.id,
      Buffer.from(upload.key),
      Buffer.from(`${upload.key}\0${upload.id}`),
      upload.revision,
      upload.initiatedAt,
      JSON.stringify(upload.internal),
      JSON.stringify(upload.headers),
    )
  }

  /** With its parts. */
  deleteUpload(id: string): void {
    this.#statements.deleteParts.run(id)
    this.#statements.deleteUpload.run(id)
  }

  part(upload: string, number: number): IndexedPart | undefined {
    const row = guarded(() => this.#statements.part.get(upload, number))
    return row && partOf(row)
  }

  parts(upload: string): IndexedPart[] {
    return guarded(() => this.#statements.parts.all(upload)).map(partOf)
  }

  putPart(upload: string, part: IndexedPart): void {
    this.#statements.putPart.run(
      upload,
      part.number,
      part.file,
      part.revision,
      part.modifiedAt,
      part.size,
      part.storedBytes,
      part.etag,
      part.isChecked ? 1 : 0,
    )
  }

  holdingsOf(externalKey: string, max: number): KeyHoldings {
    return guarded(() => {
      const { objectTotals, uploadTotal, largest } = this.#statements
      const { objects, bytes } = objectTotals.get(externalKey) ?? { objects: 0, bytes: 0 }
      const rows = largest.all(externalKey, max)
      return {
        objects,
        bytes,
        uploads: Number(uploadTotal.get(externalKey)),
        largest: rows.map(({ bucket, key, size, internal }) => ({
          bucket,
          key: key.toString(),
          size,
          internal: JSON.parse(internal),
        })),
      }
    })
  }

  totals(): StoreTotals {
    const row = guarded(() => this.#statements.totals.get())
    return { buckets: row?.buckets ?? 0, objects: row?.objects ?? 0, bytes: row?.bytes ?? 0 }
  }

  listingKeys(bucket: IndexedBucket): readonly ListingKey[] {
    return this.#remembered(this.#listingKeys, bucket.id, () =>
      guarded(() => this.#statements.listingKeys.all(bucket.id)).map((row) => ({
        id: row.id,
        bucket: bucket.name,
        externalKey: row.external_key,
        ciphertext: row.ciphertext,
      })),
    )
  }

  putListingKey(bucket: IndexedBucket, key: ListingKey, revision: number): void {
    this.#listingKeys.delete(bucket.id)
    this.#statements.putListingKey.run(key.id, bucket.id, key.externalKey, revision, key.ciphertext)
  }

  deleteListingKeys(bucket: number): void {
    this.#listingKeys.delete(bucket)
    this.#statements.deleteListingKeys.run(bucket)
  }

  /** Files that nothing names any more: they are to be removed. */
  addGarbage(files: Iterable<string>): void {
    for (const file of files) this.#statements.addGarbage.run(file)
  }

  garbage(): string[] {
    return guarded(() => this.#statements.garbage.all())
  }

  dropGarbage(files: Iterable<string>): void {
    for (const file of files) this.#statements.dropGarbage.run(file)
  }

  /** Whether a file is in use, but as part of a completed upload. */
  namesFile(file: string): boolean {
    return guarded(() => this.#statements.namesFile.get({ file })) !== undefined
  }

  /** Whether a file is part of an object. Looks through all objects. */
  isPartOfObject(file: string): boolean {
    return guarded(() => this.#statements.isPartOfObject.get(file)) !== undefined
  }

  /** What is seen within a transaction may be undone, and is not remembered; whoever changes a row forgets it. */
  #remembered<Key, Value>(known: Map<Key, Value>, key: Key, look: () => Value): Value {
    const remembered = known.get(key)
    if (remembered !== undefined) return remembered
    const value = look()
    if (value === undefined || this.#db.inTransaction) return value
    if (known.size >= REMEMBERED_MAX) known.clear()
    known.set(key, value)
    return value
  }
}

function bucketOf(row: BucketRow): IndexedBucket {
  return {
    id: row.id,
    name: row.name,
    firstFile: row.first_file,
    file: row.file,
    revision: row.revision,
    createdAt: row.created_at,
    settings: row.settings ?? undefined,
  }
}

function listedObjectOf(row: ListedRow): ListedObject {
  return {
    key: row.key.toString(),
    modifiedAt: row.modified_at,
    size: row.size,
    etag: row.etag,
    listedEtag: listedEtagOf(row),
  }
}

function objectOf(row: ObjectRow, bucket: string): IndexedObject {
  return {
    ...listedObjectOf(row),
    bucket,
    file: row.file,
    revision: row.revision,
    internal: JSON.parse(row.internal),
    headers: JSON.parse(row.headers),
    parts: JSON.parse(row.parts),
  }
}

function listedEtagOf({ listing_key, listed_etag }: ListedRow): ListedEtag | undefined {
  if (listing_key === null || listed_etag === null) return undefined
  return { listingKey: listing_key, sealed: listed_etag }
}

function uploadOf(row: UploadRow, bucket: string): IndexedUpload {
  return {
    id: row.id,
    bucket,
    key: row.key.toString(),
    revision: row.revision,
    initiatedAt: row.initiated_at,
    internal: JSON.parse(row.internal),
    headers: JSON.parse(row.headers),
  }
}

function partOf(row: PartRow): IndexedPart {
  return {
    number: row.number,
    file: row.file,
    revision: row.revision,
    modifiedAt: row.modified_at,
    size: row.size,
    storedBytes: row.stored_bytes,
    etag: row.etag,
    isChecked: row.is_checked === 1,
  }
}

/** A damaged index answers as such where it is only looked at; changes are told by `IndexCommits`. */
function guarded<Result>(look: () => Result): Result {
  try {
    return look()
  } catch (error) {
    throw asIndexError(error)
  }
}

function prepare(db: Database.Database) {
  return {
    highestRevision: db
      .prepare(
        `SELECT max(revision) FROM (SELECT 0 AS revision UNION ALL SELECT max(revision) FROM bucket
       UNION ALL SELECT max(revision) FROM object UNION ALL SELECT max(revision) FROM upload
       UNION ALL SELECT max(revision) FROM part UNION ALL SELECT max(revision) FROM listing_key)`,
      )
      .pluck(),
    bucket: db.prepare<[string], BucketRow>('SELECT * FROM bucket WHERE name = ?'),
    buckets: db.prepare<[], BucketRow>('SELECT * FROM bucket ORDER BY name'),
    putBucket: db.prepare(
      `INSERT INTO bucket (name, first_file, file, revision, created_at, settings) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET
       file = excluded.file, revision = excluded.revision, settings = excluded.settings`,
    ),
    deleteBucket: db.prepare('DELETE FROM bucket WHERE id = ?'),
    anyObject: db.prepare('SELECT 1 FROM object WHERE bucket = ? LIMIT 1'),
    object: db.prepare<[number, Buffer], ObjectRow>('SELECT * FROM object WHERE bucket = ? AND key = ?'),
    listedObject: db.prepare<[number], ListedRow>(
      'SELECT key, modified_at, size, etag, listing_key, listed_etag FROM object WHERE id = ?',
    ),
    objectById: db.prepare<[number], ObjectRow>('SELECT * FROM object WHERE id = ?'),
    objectKeys: db.prepare<[number, Buffer, number], IndexedKey<number>>(
      'SELECT key, key AS place, id FROM object WHERE bucket = ? AND key >= ? ORDER BY key LIMIT ?',
    ),
    countAll: db.prepare('SELECT count(*) FROM object WHERE bucket = ? AND key >= ?').pluck(),
    countBefore: db.prepare('SELECT count(*) FROM object WHERE bucket = ? AND key >= ? AND key < ?').pluck(),
    putObject: db.prepare(
      `INSERT OR REPLACE INTO object (bucket, key, file, revision, modified_at, size, etag, internal, headers, parts,
       listing_key, listed_etag) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteObject: db.prepare('DELETE FROM object WHERE bucket = ? AND key = ?'),
    upload: db.prepare<[string], UploadRow>('SELECT * FROM upload WHERE id = ?'),
    uploadKeys: db.prepare<[number, Buffer, number], IndexedKey<string>>(
      'SELECT key, place, id FROM upload WHERE bucket = ? AND place >= ? ORDER BY place LIMIT ?',
    ),
    uploadsOf: db.prepare<[number], UploadRow>('SELECT * FROM upload WHERE bucket = ?'),
    putUpload: db.prepare(
      `INSERT OR REPLACE INTO upload (id, bucket, key, place, revision, initiated_at, internal, headers)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteUpload: db.prepare('DELETE FROM upload WHERE id = ?'),
    part: db.prepare<[string, number], PartRow>('SELECT * FROM part WHERE upload = ? AND number = ?'),
    parts: db.prepare<[string], PartRow>('SELECT * FROM part WHERE upload = ? ORDER BY number'),
    putPart: db.prepare(
      `INSERT OR REPLACE INTO part (upload, number, file, revision, modified_at, size, stored_bytes, etag,
       is_checked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    deleteParts: db.prepare('DELETE FROM part WHERE upload = ?'),
    objectTotals: db.prepare<[string], Pick<KeyHoldings, 'objects' | 'bytes'>>(
      `SELECT count(*) AS objects, coalesce(sum(size), 0) AS bytes FROM object WHERE ${EXTERNAL_KEY} = ?`,
    ),
    largest: db.prepare<[string, number], HeldRow>(
      `SELECT bucket.name AS bucket, key, size, internal FROM object JOIN bucket ON bucket.id = object.bucket
       WHERE ${EXTERNAL_KEY} = ? ORDER BY size DESC LIMIT ?`,
    ),
    uploadTotal: db.prepare(`SELECT count(*) FROM upload WHERE ${EXTERNAL_KEY} = ?`).pluck(),
    totals: db.prepare<[], StoreTotals>(
      `SELECT (SELECT count(*) FROM bucket) AS buckets, count(*) AS objects, coalesce(sum(size), 0) AS bytes
       FROM object`,
    ),
    listingKeys: db.prepare<[number], ListingKeyRow>('SELECT * FROM listing_key WHERE bucket = ?'),
    putListingKey: db.prepare(
      'INSERT OR REPLACE INTO listing_key (id, bucket, external_key, revision, ciphertext) VALUES (?, ?, ?, ?, ?)',
    ),
    deleteListingKeys: db.prepare('DELETE FROM listing_key WHERE bucket = ?'),
    addGarbage: db.prepare('INSERT OR IGNORE INTO garbage VALUES (?)'),
    garbage: db.prepare<[], string>('SELECT file FROM garbage').pluck() as Database.Statement<[], string>,
    dropGarbage: db.prepare('DELETE FROM garbage WHERE file = ?'),
    isPartOfObject: db.prepare<[string], unknown>('SELECT 1 FROM object WHERE instr(parts, ?) > 0'),
    namesFile: db.prepare<[{ file: string }], unknown>(
      `SELECT 1 FROM object WHERE file = @file UNION ALL SELECT 1 FROM part WHERE file = @file
       UNION ALL SELECT 1 FROM bucket WHERE file = @file OR first_file = @file
       UNION ALL SELECT 1 FROM upload WHERE id = @file UNION ALL SELECT 1 FROM listing_key WHERE id = @file`,
    ),
  }
}
