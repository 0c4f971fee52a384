/**
 * Objects as files, and an index of them.
 *
 * A put writes a file, brings it and its directory's entry to the disk, commits the index, and then answers: a power
 * cut at any moment leaves either the object as it was, or as it was put. What a change makes superfluous is noted in
 * the same commit, and removed once nobody reads it.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type Database from 'better-sqlite3'
import { prepareDataFolder } from './data-folder.ts'
import {
  BucketExistsError,
  BucketNotEmptyError,
  IndexDamagedError,
  InvalidPartError,
  NoSuchBucketError,
  NoSuchKeyError,
  NoSuchUploadError,
  ObjectChangedError,
} from './errors.ts'
import { FileFolder, type Growth, type NewFile } from './file-folder.ts'
import { FolderLock } from './folder-lock.ts'
import { type DiskState, diskStateOf, FreeSpace } from './free-space.ts'
import { IndexCommits } from './index-commits.ts'
import { openIndex } from './index-file.ts'
import { KeyLocks } from './key-locks.ts'
import { behind, listPage, startOf } from './listing.ts'
import { type IndexedBucket, type IndexedObject, type IndexedPart, ObjectIndex } from './object-index.ts'
import { ObjectReader } from './object-reader.ts'
import type {
  Bucket,
  Condition,
  Content,
  KeyHoldings,
  ListedObject,
  ListingKey,
  ListPage,
  ListQuery,
  ObjectProperties,
  ObjectRecord,
  ObjectStore,
  OpenObject,
  PartProperties,
  PutOptions,
  StoredPart,
  StoreTotals,
  Upload,
  UploadedPart,
  UploadProperties,
} from './object-store.ts'
import { encodeListedEtag, type FiledPart, type ObjectFile, type UploadFile } from './record-file.ts'
import { sweep } from './sweep.ts'

export interface StoreOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Told of what could not be removed or moved; it is tried again at the next start. */
  readonly onProblem?: (error: unknown) => void
  /** What new data must leave free on the disk. Default: a hundredth of it, 64 MiB at least and 1 GiB at most. */
  readonly reserveBytes?: number | undefined
  /** How full the disk is. Default: what it says. */
  readonly look?: () => DiskState
}

/** What a put is about to make. */
type NewObject = Omit<IndexedObject, 'bucket' | 'file' | 'revision'>

export class FileObjectStore implements ObjectStore {
  readonly #db: Database.Database
  readonly #lock: FolderLock
  readonly #folder: FileFolder
  readonly #index: ObjectIndex
  readonly #commits: IndexCommits
  readonly #locks = new KeyLocks()
  readonly #options: StoreOptions
  #revision: number
  /** How many read each file; those that are superfluous are removed with the last of them. */
  readonly #readers = new Map<string, number>()
  readonly #superfluous = new Set<string>()
  /** What goes on behind the answers. */
  readonly #background = new Set<Promise<void>>()

  private constructor(
    lock: FolderLock,
    db: Database.Database,
    index: ObjectIndex,
    folder: FileFolder,
    commits: IndexCommits,
    options: StoreOptions,
  ) {
    this.#lock = lock
    this.#db = db
    this.#index = index
    this.#folder = folder
    this.#commits = commits
    this.#options = options
    this.#revision = index.highestRevision()
  }

  /**
   * @param path - of the data folder; it is made if it is missing.
   * @throws {@link DataFolderLockedError}, {@link NotADataFolderError}, {@link IndexDamagedError}
   */
  static async open(path: string, options: StoreOptions = {}): Promise<FileObjectStore> {
    prepareDataFolder(path)
    const lock = FolderLock.acquire(path)
    try {
      const indexPath = join(path, 'index.db')
      const { look = () => diskStateOf(path), reserveBytes } = options
      const folder = new FileFolder(path, new FreeSpace(look, reserveBytes))
      if (!existsSync(indexPath) && !folder.isEmpty()) throw new IndexDamagedError('it is gone')
      const db = openIndex(indexPath)
      try {
        const index = new ObjectIndex(db)
        await sweep(folder, index, db)
        const commits = IndexCommits.open(db, indexPath)
        return new FileObjectStore(lock, db, index, folder, commits, options)
      } catch (error) {
        db.close()
        throw error
      }
    } catch (error) {
      lock[Symbol.dispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#background)
    await this.#commits.close()
    this.#folder.close()
    this.#db.close()
    this.#lock[Symbol.dispose]()
  }

  async createBucket(name: string): Promise<Bucket> {
    return this.#locks.run(name, async () => {
      if (this.#index.bucket(name)) throw new BucketExistsError()
      const bucket = { name, createdAt: this.#now(), settings: undefined }
      return this.#putBucket(bucket, undefined)
    })
  }

  bucket(name: string): IndexedBucket {
    const bucket = this.#index.bucket(name)
    if (!bucket) throw new NoSuchBucketError()
    return bucket
  }

  buckets(): Bucket[] {
    return this.#index.buckets()
  }

  async setBucketSettings(name: string, settings: Uint8Array | undefined): Promise<void> {
    await this.#locks.run(name, async () => {
      const before = this.bucket(name)
      await this.#putBucket({ name, createdAt: before.createdAt, settings }, before)
    })
  }

  async deleteBucket(name: string): Promise<void> {
    await this.#locks.run(name, () =>
      this.#change(() => {
        const bucket = this.bucket(name)
        if (this.#index.hasObjects(bucket.id)) throw new BucketNotEmptyError()
        const garbage = [bucket.file, bucket.firstFile]
        for (const { id } of this.#index.uploadsOf(bucket)) garbage.push(...this.#dropUpload(id))
        garbage.push(...this.#index.listingKeys(bucket).map(({ id }) => id))
        this.#index.deleteListingKeys(bucket.id)
        this.#index.deleteBucket(bucket.id)
        return { garbage, result: undefined }
      }),
    )
  }

  async put(
    bucketName: string,
    key: string,
    content: Content,
    finish: (storedBytes: number) => ObjectProperties,
    { condition, isAuthenticated }: PutOptions,
  ): Promise<ObjectRecord> {
    checkKey(key)
    this.bucket(bucketName)
    return this.#withNewFile(!isAuthenticated, async (file) => {
      for await (const piece of content) await file.write(piece)
      const storedBytes = file.contentBytes
      const properties = finish(storedBytes)
      const part = { number: 1, size: properties.size, storedBytes, etag: '', isChecked: !isAuthenticated }
      const object = { ...properties, key, modifiedAt: this.#now(), parts: [part] }
      return this.#putObject(bucketName, file, object, condition)
    })
  }

  stat(bucket: string, key: string): IndexedObject {
    const object = this.#index.object(this.bucket(bucket), key)
    if (!object) throw new NoSuchKeyError()
    return object
  }

  async open(bucket: string, key: string): Promise<OpenObject> {
    const record = this.stat(bucket, key)
    const files = filesOf(record)
    for (const file of files) this.#readers.set(file, (this.#readers.get(file) ?? 0) + 1)
    const reader = new ObjectReader(record, this.#folder, () => this.#release(files))
    try {
      await reader.openFirst()
      return reader
    } catch (error) {
      await reader[Symbol.asyncDispose]()
      throw error
    }
  }

  async replaceProperties(
    bucketName: string,
    key: string,
    revision: number,
    properties: Omit<ObjectProperties, 'size'>,
  ): Promise<ObjectRecord> {
    const before = this.stat(bucketName, key)
    return this.#withNewFile(false, (file) => {
      // The content stays where it is, and this file is the record alone.
      const parts = before.parts.map((part) => ({ ...part, file: part.file ?? before.file }))
      const object = { ...properties, key, size: before.size, modifiedAt: before.modifiedAt, parts }
      return this.#putObject(bucketName, file, object, (current) => {
        if (current?.revision !== revision) throw new ObjectChangedError()
      })
    })
  }

  async delete(bucketName: string, key: string, condition?: Condition): Promise<boolean> {
    return this.#locks.run(lockName(bucketName, key), () =>
      this.#change(() => {
        const bucket = this.bucket(bucketName)
        const current = this.#index.object(bucket, key)
        condition?.(current)
        if (!current) return { garbage: [], result: false }
        this.#index.deleteObject(bucket, key)
        return { garbage: filesOf(current), result: true }
      }),
    )
  }

  list(bucketName: string, query: ListQuery): ListPage<ListedObject> {
    const bucket = this.bucket(bucketName)
    const start = startOf(query)
    if (start === undefined) return { items: [], commonPrefixes: [] }
    return listPage(
      query,
      start,
      (from, max) => this.#index.objectKeys(bucket.id, from, max),
      ({ id }) => this.#index.listedObject(id),
      ({ key }) => key.toString(),
    )
  }

  count(bucketName: string, prefix: string): number {
    const { id } = this.bucket(bucketName)
    const from = Buffer.from(prefix)
    return this.#index.countObjects(id, from, behind(from))
  }

  async createUpload(bucketName: string, key: string, properties: UploadProperties): Promise<Upload> {
    checkKey(key)
    this.bucket(bucketName)
    return this.#withNewFile(false, async (file) => {
      const bucket = this.bucket(bucketName)
      const upload = { id: file.id, key, initiatedAt: this.#now(), ...properties, revision: this.#next() }
      await file.finish(uploadRecord(bucket, upload))
      await this.#change(() => {
        this.#index.putUpload(this.#same(bucket), upload)
        return { garbage: [], result: undefined }
      })
      return { ...upload, bucket: bucketName }
    })
  }

  async replaceUpload(
    { bucket: bucketName, key, id, revision }: Upload,
    internal: Upload['internal'],
  ): Promise<void> {
    await this.#locks.run(id, async () => {
      const bucket = this.bucket(bucketName)
      const before = this.#unchangedUpload(bucketName, key, id, revision)
      const upload = { ...before, internal, revision: this.#next() }
      const file = await this.#folder.create(false, 'replaces')
      try {
        await file.finish(uploadRecord(bucket, upload))
        await this.#folder.replace(id, file)
      } catch (error) {
        await file.discard()
        throw error
      }
      // Until here a crash leaves the new record with the old row: both open the same parts.
      try {
        await this.#change(() => {
          this.upload(bucketName, key, id)
          this.#index.putUpload(this.#same(bucket), upload)
          return { garbage: [], result: undefined }
        })
      } catch (error) {
        if (!this.#index.namesFile(id)) this.#later(this.#folder.remove(id)) // Gone with its bucket.
        throw error
      }
    })
  }

  upload(bucketName: string, key: string, id: string): Upload {
    const upload = this.#index.upload(this.bucket(bucketName), key, id)
    if (!upload) throw new NoSuchUploadError()
    return upload
  }

  uploads(bucketName: string, query: ListQuery): ListPage<Upload> {
    const bucket = this.bucket(bucketName)
    const start = startOf(query, lastUploadPlace)
    if (start === undefined) return { items: [], commonPrefixes: [] }
    return listPage(
      query,
      start,
      (from, max) => this.#index.uploadKeys(bucket.id, from, max),
      ({ id }) => this.#index.uploadById(bucket, id),
      ({ place }) => place.toString(),
    )
  }

  async putPart(
    { bucket, key, id }: Upload,
    number: number,
    content: Content,
    finish: (storedBytes: number) => PartProperties,
    { isAuthenticated }: Pick<PutOptions, 'isAuthenticated'>,
  ): Promise<UploadedPart> {
    this.upload(bucket, key, id)
    return this.#withNewFile(!isAuthenticated, async (file) => {
      for await (const piece of content) await file.write(piece)
      const storedBytes = file.contentBytes
      const { size, etag } = finish(storedBytes)
      const isChecked = !isAuthenticated
      return this.#locks.run(id, async () => {
        const part = {
          number,
          size,
          etag,
          storedBytes,
          isChecked,
          modifiedAt: this.#now(),
          revision: this.#next(),
        }
        await file.finish({ kind: 'part', upload: id, ...part })
        return this.#change(() => {
          this.upload(bucket, key, id)
          const before = this.#index.part(id, number)
          this.#index.putPart(id, { ...part, file: file.id })
          return { garbage: before ? [before.file] : [], result: part }
        })
      })
    })
  }

  parts({ bucket, key, id }: Upload): UploadedPart[] {
    this.upload(bucket, key, id)
    return this.#index.parts(id)
  }

  async completeUpload(
    { bucket, key, id, revision }: Upload,
    chosen: readonly Pick<StoredPart, 'number' | 'etag'>[],
    properties: ObjectProperties,
    condition?: Condition,
  ): Promise<ObjectRecord> {
    return this.#locks.run(id, async () => {
      this.#unchangedUpload(bucket, key, id, revision)
      const uploaded = new Map(this.#index.parts(id).map((part) => [part.number, part]))
      const parts = chosen.map((part) => filedPart(part, uploaded))
      const write = (file: NewFile) => {
        const object = { ...properties, key, modifiedAt: this.#now(), parts }
        return this.#putObject(bucket, file, object, condition, () => {
          this.upload(bucket, key, id)
          const kept = new Set(parts.map((part) => part.file))
          return this.#dropUpload(id).filter((file) => !kept.has(file))
        })
      }
      return this.#withNewFile(false, write, 'replaces')
    })
  }

  async abortUpload({ bucket, key, id }: Upload): Promise<void> {
    await this.#locks.run(id, () =>
      this.#change(() => {
        this.upload(bucket, key, id)
        return { garbage: this.#dropUpload(id), result: undefined }
      }),
    )
  }

  holdingsOf(externalKey: string, max: number): KeyHoldings {
    return this.#index.holdingsOf(externalKey, max)
  }

  totals(): StoreTotals {
    return this.#index.totals()
  }

  listingKeys(bucket: string): readonly ListingKey[] {
    return this.#index.listingKeys(this.bucket(bucket))
  }

  async addListingKey(
    bucketName: string,
    externalKey: string,
    ciphertext: Uint8Array,
    replaced?: string,
  ): Promise<ListingKey> {
    return this.#locks.run(bucketName, async () => {
      const there = this.listingKeys(bucketName).find((key) => key.externalKey === externalKey)
      if (there && there.id !== replaced) return there
      return this.#withNewFile(false, async (file) => {
        const bucket = this.bucket(bucketName)
        const revision = this.#next()
        const key = { id: file.id, bucket: bucketName, externalKey, ciphertext }
        await file.finish({
          kind: 'listing-key',
          revision,
          bucket: bucket.firstFile,
          externalKey,
          ciphertext: Buffer.from(ciphertext).toString('base64'),
        })
        return this.#change(() => {
          this.#index.putListingKey(this.#same(bucket), key, revision)
          return { garbage: there ? [there.id] : [], result: key }
        })
      })
    })
  }

  async #putBucket(bucket: Bucket, before: IndexedBucket | undefined): Promise<Bucket> {
    const write = async (file: NewFile) => {
      const revision = this.#next()
      const { name, createdAt, settings } = bucket
      const firstFile = before?.firstFile ?? file.id
      await file.finish({
        kind: 'bucket',
        revision,
        name,
        createdAt,
        firstFile,
        ...(settings && { settings: Buffer.from(settings).toString('base64') }),
      })
      return this.#change(() => {
        this.#index.putBucket({ ...bucket, firstFile, file: file.id, revision })
        const garbage = before && before.file !== before.firstFile ? [before.file] : []
        return { garbage, result: bucket }
      })
    }
    return this.#withNewFile(false, write, before === undefined ? 'grows' : 'replaces')
  }

  /** @param also - changes the index besides, and says which files are superfluous then. */
  async #putObject(
    bucketName: string,
    file: NewFile,
    object: NewObject,
    condition: Condition | undefined,
    also: () => string[] = () => [],
  ): Promise<ObjectRecord> {
    // One at a time for each key, so that a later revision is a later change.
    return this.#locks.run(lockName(bucketName, object.key), async () => {
      const bucket = this.bucket(bucketName)
      // Refused early, where it can be: the disk is spared.
      condition?.(this.#index.object(bucket, object.key))
      const revision = this.#next()
      await file.finish(objectRecord(bucket, object, revision))
      return this.#change(() => {
        const current = this.#index.object(this.#same(bucket), object.key)
        condition?.(current)
        const garbage = [...also(), ...(current ? filesOf(current) : [])]
        const made = { ...object, file: file.id, revision }
        this.#index.putObject(bucket, made)
        const kept = new Set(filesOf(made))
        return {
          garbage: garbage.filter((file) => !kept.has(file)),
          result: { ...made, bucket: bucketName },
        }
      })
    })
  }

  /** The bucket as it was when the change began, unless it was deleted meanwhile. */
  #same(bucket: IndexedBucket): IndexedBucket {
    const now = this.bucket(bucket.name)
    if (now.id !== bucket.id) throw new NoSuchBucketError()
    return now
  }

  #unchangedUpload(bucket: string, key: string, id: string, revision: number): Upload {
    const upload = this.upload(bucket, key, id)
    if (upload.revision !== revision) throw new ObjectChangedError()
    return upload
  }

  /** @returns its files. */
  #dropUpload(id: string): string[] {
    const files = [id, ...this.#index.parts(id).map(({ file }) => file)]
    this.#index.deleteUpload(id)
    return files
  }

  /** Leaves nothing of the file if `write` fails, and moves it to its place if it does not. */
  async #withNewFile<Result>(
    hasChecksums: boolean,
    write: (file: NewFile) => Promise<Result>,
    growth: Growth = 'grows',
  ): Promise<Result> {
    const file = this.#folder.create(hasChecksums, growth)
    try {
      const result = await write(file)
      this.#later(this.#folder.settle(file.id))
      return result
    } catch (error) {
      // Named it is if the change was made, and only could not be brought to the disk.
      if (this.#index.namesFile(file.id)) this.#later(this.#folder.settle(file.id))
      else await file.discard()
      throw error
    }
  }

  /** Commits a change of the index; what is superfluous then is removed behind the answer. */
  async #change<Result>(
    apply: () => { readonly garbage: readonly string[]; readonly result: Result },
  ): Promise<Result> {
    const { garbage, result } = await this.#commits.commit(() => {
      const applied = apply()
      this.#index.addGarbage(applied.garbage)
      return applied
    })
    const unread = garbage.filter((file) => !this.#readers.has(file))
    for (const file of garbage) if (this.#readers.has(file)) this.#superfluous.add(file)
    if (unread.length > 0) this.#later(this.#remove(unread))
    return result
  }

  #release(files: readonly string[]): void {
    const unread: string[] = []
    for (const file of files) {
      const readers = (this.#readers.get(file) ?? 0) - 1
      if (readers > 0) {
        this.#readers.set(file, readers)
        continue
      }
      this.#readers.delete(file)
      if (this.#superfluous.delete(file)) unread.push(file)
    }
    // What is read to the end of the process is removed at the next start.
    if (unread.length > 0 && this.#db.open) this.#later(this.#remove(unread))
  }

  async #remove(files: readonly string[]): Promise<void> {
    for (const file of files) await this.#folder.remove(file)
    await this.#commits.commit(() => this.#index.dropGarbage(files))
  }

  #later(work: Promise<void>): void {
    const watched = work
      .catch((error) => this.#options.onProblem?.(error))
      .finally(() => this.#background.delete(watched))
    this.#background.add(watched)
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now()
  }

  #next(): number {
    this.#revision += 1
    return this.#revision
  }
}

function objectRecord(bucket: IndexedBucket, object: NewObject, revision: number): ObjectFile {
  const { listedEtag, ...rest } = object
  return {
    kind: 'object',
    revision,
    bucket: bucket.firstFile,
    ...rest,
    ...(listedEtag && { listedEtag: encodeListedEtag(listedEtag) }),
  }
}

function uploadRecord(bucket: IndexedBucket, upload: Omit<Upload, 'bucket'>): UploadFile {
  const { revision, key, initiatedAt, internal, headers } = upload
  return { kind: 'upload', revision, bucket: bucket.firstFile, key, initiatedAt, internal, headers }
}

function filedPart(
  { number, etag }: Pick<StoredPart, 'number' | 'etag'>,
  uploaded: ReadonlyMap<number, IndexedPart>,
): FiledPart {
  const part = uploaded.get(number)
  if (part === undefined || part.etag !== etag) throw new InvalidPartError(number)
  const { size, storedBytes, isChecked, file } = part
  return { number, size, storedBytes, etag, isChecked, file }
}

/** The file of the record, and those of the parts that have their own. */
function filesOf({ file, parts }: Pick<IndexedObject, 'file' | 'parts'>): string[] {
  return [file, ...parts.flatMap((part) => part.file ?? [])]
}

const UPLOAD_PLACE = /\0[0-9a-f]{32}$/

/** Of a key, behind those of all its uploads; of one upload, its own. */
function lastUploadPlace(after: string): Buffer {
  return Buffer.from(UPLOAD_PLACE.test(after) ? after : `${after}\0\x7f`)
}

function lockName(bucket: string, key: string): string {
  return `${bucket}/${key}`
}

/** Half of a surrogate pair is no text, and has no bytes in UTF-8 to be sorted by. */
function checkKey(key: string): void {
  if (!key.isWellFormed()) throw new TypeError('a key must be well-formed Unicode')
}
