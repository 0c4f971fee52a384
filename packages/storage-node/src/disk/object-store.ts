/**
 * What the node asks of its storage: buckets, objects, uploads in parts. It sees stored bytes, encrypted or not, and
 * knows nothing of keys; names are any text that S3 allows, and reach no file name.
 *
 * A change that was answered survives a power cut; one that was not leaves nothing visible. What one object's
 * damaged file or row answers, no other object notices. The errors are in `errors.ts`.
 */

/** What is kept of an object beside its content. */
export interface ObjectProperties {
  /** Length of the plaintext. */
  readonly size: number
  /** As MinIO stores it: an MD5, sealed where the object is encrypted, or `<md5>-<parts>`. */
  readonly etag: string
  /** What the node needs: MinIO's internal entries, under MinIO's names. Binary values in base64. */
  readonly internal: Readonly<Record<string, string>>
  /** What clients get back: `content-type`, `x-amz-meta-…`, in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** What a listing shows as ETag, sealed under a listing key. Without it, it shows {@link etag} or its tag form. */
  readonly listedEtag?: ListedEtag | undefined
}

export interface ListedEtag {
  /** {@link ListingKey.id} */
  readonly listingKey: string
  readonly sealed: Uint8Array
}

/** A data key that seals the ETags of a bucket's objects under one external key. */
export interface ListingKey {
  readonly id: string
  readonly bucket: string
  /** Name of the external key. */
  readonly externalKey: string
  /** The data key, encrypted under it. */
  readonly ciphertext: Uint8Array
}

/** A part of an object, or all of it, as it is stored. */
export interface StoredPart {
  /** The client's number; 1 for an object that came in one piece. */
  readonly number: number
  /** Length of the plaintext. */
  readonly size: number
  readonly storedBytes: number
  /** As stored. Empty for an object that came in one piece. */
  readonly etag: string
}

export interface ObjectRecord extends ObjectProperties {
  readonly bucket: string
  readonly key: string
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
  /** Grows with every change in the store: names this state of the object. */
  readonly revision: number
  readonly parts: readonly StoredPart[]
}

/** What a listing shows. */
export type ListedObject = Pick<ObjectRecord, 'key' | 'size' | 'modifiedAt' | 'etag' | 'listedEtag'>

export interface ListQuery {
  readonly prefix?: string
  /** Keys that have it behind the prefix are shown as one, up to it. */
  readonly delimiter?: string
  /** Only what comes behind this key or common prefix, in the order of the UTF-8 bytes. */
  readonly after?: string
  /** Objects and common prefixes together; at most 1,000. */
  readonly max: number
}

export interface ListPage<Item> {
  readonly items: readonly Item[]
  readonly commonPrefixes: readonly string[]
  /** The `after` of the next page; absent on the last one. */
  readonly next?: string
}

/** An object that is being read. It stays as it is until closed, whatever happens to its key meanwhile. */
export interface OpenObject extends AsyncDisposable {
  readonly record: ObjectRecord
  /**
   * Stored bytes of one part.
   *
   * @param part - its index in {@link ObjectRecord.parts}.
   * @param into - is read into each time, so that a yielded buffer is good until the next. Without it, each is the
   *   receiver's own.
   * @throws {@link DataDamagedError} where they are not as they were written, if that shows without a key.
   */
  read(part: number, offset: number, length: number, into?: Buffer): AsyncIterable<Buffer>
}

export interface Bucket {
  readonly name: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** Kept for the node: its settings of the bucket, as it encoded them. */
  readonly settings: Uint8Array | undefined
}

/** Content that is to be stored. A buffer must hold its bytes until the next one is asked for. */
export type Content = AsyncIterable<Uint8Array>

/**
 * Refuses a change by throwing, at the moment at which it would be made: nothing happens between the look at the
 * object as it is then and the change.
 */
export type Condition = (current: ObjectRecord | undefined) => void

export interface PutOptions {
  readonly condition?: Condition | undefined
  /** The content can't be changed unnoticed, because it is DARE; else checksums are kept beside it. */
  readonly isAuthenticated: boolean
}

export interface Upload {
  readonly id: string
  readonly bucket: string
  readonly key: string
  /** Milliseconds since 1970. */
  readonly initiatedAt: number
  readonly internal: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** Names this state of the upload, as {@link ObjectRecord.revision} does. */
  readonly revision: number
}

export type UploadProperties = Pick<Upload, 'internal' | 'headers'>

export interface UploadedPart extends StoredPart {
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
}

/** What is known of a part once its content has been stored. */
export interface PartProperties {
  /** Length of the plaintext. */
  readonly size: number
  /** As stored. */
  readonly etag: string
}

export interface StoreTotals {
  readonly buckets: number
  readonly objects: number
  /** Of the plaintexts. */
  readonly bytes: number
}

/** What is encrypted under one external key. */
export interface KeyHoldings {
  readonly objects: number
  /** Of their plaintexts. */
  readonly bytes: number
  readonly uploads: number
  /** The largest ones, of which the first is the largest. */
  readonly largest: readonly Pick<ObjectRecord, 'bucket' | 'key' | 'size' | 'internal'>[]
}

export interface ObjectStore extends AsyncDisposable {
  /** @throws {@link BucketExistsError} */
  createBucket(name: string): Promise<Bucket>
  /** @throws {@link NoSuchBucketError} */
  bucket(name: string): Bucket
  buckets(): Bucket[]
  setBucketSettings(name: string, settings: Uint8Array | undefined): Promise<void>
  /** @throws {@link BucketNotEmptyError} while it has an object. Uploads in progress go with it. */
  deleteBucket(name: string): Promise<void>

  /**
   * Stores content under a key, in place of what was there.
   *
   * @param finish - called with the length of what was stored, once the content has ended.
   * @throws {@link DiskFullError}, {@link NoSuchBucketError}; what `content`, `finish` or the condition throws.
   */
  put(
    bucket: string,
    key: string,
    content: Content,
    finish: (storedBytes: number) => ObjectProperties,
    options: PutOptions,
  ): Promise<ObjectRecord>
  /** @throws {@link NoSuchBucketError}, {@link NoSuchKeyError} */
  stat(bucket: string, key: string): ObjectRecord
  /** @throws as {@link stat}; {@link DataDamagedError} if the file is gone. */
  open(bucket: string, key: string): Promise<OpenObject>
  /**
   * Other properties for the same content. The time of the last change stays.
   *
   * @param revision - of the object that the properties were made for.
   * @throws {@link ObjectChangedError} if it is another one by now.
   */
  replaceProperties(
    bucket: string,
    key: string,
    revision: number,
    properties: Omit<ObjectProperties, 'size'>,
  ): Promise<ObjectRecord>
  /** @returns whether there was an object. */
  delete(bucket: string, key: string, condition?: Condition): Promise<boolean>
  list(bucket: string, query: ListQuery): ListPage<ListedObject>
  /** How many keys begin so. Counted anew each time. */
  count(bucket: string, prefix: string): number

  createUpload(bucket: string, key: string, properties: UploadProperties): Promise<Upload>
  /** @throws {@link NoSuchUploadError} also if the id belongs to another key. */
  upload(bucket: string, key: string, id: string): Upload
  /**
   * Other internal entries for the same parts.
   *
   * @throws {@link NoSuchUploadError}, {@link ObjectChangedError} if they are other ones by now.
   */
  replaceUpload(upload: Upload, internal: Upload['internal']): Promise<void>
  /** In the order of key and time. `after` is a key, or `key` and `id` of an upload joined with a NUL. */
  uploads(bucket: string, query: ListQuery): ListPage<Upload>
  /** Stores a part, in place of the one of that number. */
  putPart(
    upload: Upload,
    number: number,
    content: Content,
    finish: (storedBytes: number) => PartProperties,
    options: Pick<PutOptions, 'isAuthenticated'>,
  ): Promise<UploadedPart>
  /** In ascending order of their numbers. */
  parts(upload: Upload): UploadedPart[]
  /**
   * Makes the object out of some of the parts, in the order given; the others are deleted with the upload.
   *
   * @throws {@link InvalidPartError} if a part is no longer the one with that ETag; {@link ObjectChangedError} if the
   *   upload has other properties by now.
   */
  completeUpload(
    upload: Upload,
    parts: readonly Pick<StoredPart, 'number' | 'etag'>[],
    properties: ObjectProperties,
    condition?: Condition,
  ): Promise<ObjectRecord>
  abortUpload(upload: Upload): Promise<void>

  /** @param max - of the objects that are named. */
  holdingsOf(externalKey: string, max: number): KeyHoldings
  /** Counted anew each time: some 50 ms for a million objects. */
  totals(): StoreTotals

  listingKeys(bucket: string): readonly ListingKey[]
  /**
   * @param replaced - id of the one that it takes the place of.
   * @returns the one that is there, if another request was first.
   */
  addListingKey(
    bucket: string,
    externalKey: string,
    ciphertext: Uint8Array,
    replaced?: string,
  ): Promise<ListingKey>
}
