/**
 * What is set of buckets: in the store, and once it was needed in memory. Where the node has a KMS it lies there
 * encrypted, like all of the node's own data: `seal` and `open` are the node's.
 */
import type { ObjectStore } from '../disk/object-store.ts'
import type { BucketEncryption } from './bucket-encryption.ts'

export interface Settings {
  readonly encryption?: BucketEncryption | undefined
}

/** How settings lie in the store. @param bucket - to which they are bound. */
export interface SettingsCodec {
  seal(bucket: string, plain: Buffer): Promise<Uint8Array>
  open(bucket: string, sealed: Uint8Array): Promise<Buffer>
}

const NOTHING: Settings = {}

export class BucketSettings {
  readonly #store: ObjectStore
  readonly #codec: SettingsCodec
  /** Of the buckets that were looked at. */
  readonly #known = new Map<string, Settings>()

  constructor(store: ObjectStore, codec: SettingsCodec) {
    this.#store = store
    this.#codec = codec
  }

  /**
   * @throws NoSuchBucketError
   * @throws KmsError while the key under which they lie can't be used: an object must not be stored in plaintext because
   *   nobody could read that it is to be encrypted.
   */
  async of(bucket: string): Promise<Settings> {
    const { settings: sealed } = this.#store.bucket(bucket)
    if (sealed === undefined) return NOTHING
    const known = this.#known.get(bucket)
    if (known !== undefined) return known
    const settings: Settings = JSON.parse((await this.#codec.open(bucket, sealed)).toString())
    this.#known.set(bucket, settings)
    return settings
  }

  async set(bucket: string, settings: Settings): Promise<void> {
    const isEmpty = settings.encryption === undefined
    const sealed = isEmpty ? undefined : await this.#codec.seal(bucket, Buffer.from(JSON.stringify(settings)))
    await this.#store.setBucketSettings(bucket, sealed)
    if (isEmpty) this.#known.delete(bucket)
    else this.#known.set(bucket, settings)
  }

  /** After its bucket has been deleted. */
  forget(bucket: string): void {
    this.#known.delete(bucket)
  }
}
