/**
 * The ETags of SSE-S3 objects as a listing shows them: MD5s of plaintexts, so they are kept sealed. Their key is one data
 * key for each bucket and external key: a page of a listing costs one call of the KMS, not one an object, and the ETags
 * die with the external key.
 *
 *     offset  bytes  field
 *          0     12  nonce, random
 *         12     16  AES-256-GCM ciphertext of the MD5; associated data: `bucket/key`
 *         28     16  tag
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { type Kms, KmsError, type SecretKey } from '@latchkey/kms-client/kms'
import type { ListedEtag, ListedObject, ListingKey, ObjectStore } from '../disk/object-store.ts'
import { etagTag } from '../sse/etag.ts'

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const MD5_BYTES = 16
const TAG_BYTES = 16

export interface ListedEtagServices {
  readonly store: ObjectStore
  readonly kms: Kms | undefined
}

/** The key for one write. Like every data key, it must not outlive the request. */
export class EtagSealer {
  readonly #id: string
  readonly #key: KeyObject

  private constructor(id: string, key: KeyObject) {
    this.#id = id
    this.#key = key
  }

  /**
   * For an object of this bucket.
   *
   * @param externalKey - default: the KMS's default key.
   * @returns undefined without a KMS: the write then fails by itself.
   * @throws KmsError
   */
  static async open(
    { store, kms }: ListedEtagServices,
    bucket: string,
    externalKey = kms?.defaultKey,
  ): Promise<EtagSealer | undefined> {
    if (kms === undefined) return undefined
    const known = store.listingKeys(bucket).find((key) => key.externalKey === externalKey)
    const opened = known && (await openTogether(kms, known))
    if (known && opened) return new EtagSealer(known.id, opened)
    const made = await kms.generateKey({ key: externalKey, context: contextOf(bucket) })
    using plaintext = made.plaintext
    const added = await store.addListingKey(bucket, made.key, made.ciphertext, known?.id)
    // Another request may have been first; its key is the bucket's.
    const isOurs = Buffer.from(added.ciphertext).equals(made.ciphertext)
    return new EtagSealer(added.id, isOurs ? keyObject(plaintext) : await openKey(kms, added))
  }

  /** @param md5 - 16 bytes. */
  seal(bucket: string, key: string, md5: Uint8Array): ListedEtag {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#key, nonce)
    cipher.setAAD(placeOf(bucket, key))
    const sealed = Buffer.concat([nonce, cipher.update(md5), cipher.final(), cipher.getAuthTag()])
    return { listingKey: this.#id, sealed }
  }
}

/**
 * What a page of a listing shows as ETags. It costs at most one call of the KMS: where objects of several external keys
 * share a page, the key of most of them is opened, and the others show the tag of their sealed ETag; so do all if the
 * key can't be used. Listings go on whatever becomes of keys.
 */
export async function listedEtags(
  { store, kms }: ListedEtagServices,
  bucket: string,
  objects: readonly ListedObject[],
): Promise<(object: ListedObject) => string> {
  const listingKey = mostCommonKey(store.listingKeys(bucket), objects)
  const key = kms && listingKey && (await tryOpenKey(kms, listingKey))
  return (object) => {
    const { listedEtag } = object
    const isOpen = key !== undefined && listedEtag !== undefined && listedEtag.listingKey === listingKey?.id
    return (isOpen ? open(key, bucket, object.key, listedEtag.sealed) : undefined) ?? etagTag(object.etag)
  }
}

function mostCommonKey(
  keys: readonly ListingKey[],
  objects: readonly ListedObject[],
): ListingKey | undefined {
  const counts = new Map<string, number>()
  for (const { listedEtag } of objects) {
    if (listedEtag !== undefined) {
      counts.set(listedEtag.listingKey, (counts.get(listedEtag.listingKey) ?? 0) + 1)
    }
  }
  const [most] = [...counts].sort(([, a], [, b]) => b - a)
  return most && keys.find(({ id }) => id === most[0])
}

async function tryOpenKey(kms: Kms, listingKey: ListingKey): Promise<KeyObject | undefined> {
  try {
    return await openKey(kms, listingKey)
  } catch (error) {
    if (error instanceof KmsError) return undefined
    throw error
  }
}

type Opening = Promise<KeyObject | undefined>

/** Calls under way, by the id of the listing key. */
const openings = new WeakMap<Kms, Map<string, Opening>>()

/**
 * One call for all writes that need the key while it is under way: each has a data key of its own to ask for, so none goes
 * on with this one alone.
 */
function openTogether(kms: Kms, listingKey: ListingKey): Opening {
  const underWay = openings.get(kms) ?? new Map<string, Opening>()
  openings.set(kms, underWay)
  const joined = underWay.get(listingKey.id)
  if (joined !== undefined) return joined
  const opening = openUnlessLost(kms, listingKey).finally(() => underWay.delete(listingKey.id))
  underWay.set(listingKey.id, opening)
  return opening
}

/** Undefined if the external key is another one by now, under the same name: what the old one sealed is lost. */
async function openUnlessLost(kms: Kms, listingKey: ListingKey): Promise<KeyObject | undefined> {
  try {
    return await openKey(kms, listingKey)
  } catch (error) {
    if (error instanceof KmsError && error.reason === 'wrong-ciphertext') return undefined
    throw error
  }
}

async function openKey(kms: Kms, { externalKey, ciphertext, bucket }: ListingKey): Promise<KeyObject> {
  using plaintext = await kms.decrypt({ key: externalKey, ciphertext, context: contextOf(bucket) })
  return keyObject(plaintext)
}

function keyObject({ bytes }: SecretKey): KeyObject {
  return createSecretKey(bytes)
}

/** No object has this context: an object's names its key behind the bucket. */
function contextOf(bucket: string) {
  return { [bucket]: bucket, 'latchkey-listing': 'etags' }
}

function placeOf(bucket: string, key: string): Buffer {
  return Buffer.from(`${bucket}/${key}`)
}

/** @returns undefined if it does not open: somebody changed the index. */
function open(key: KeyObject, bucket: string, name: string, sealed: Uint8Array): string | undefined {
  if (sealed.length !== NONCE_BYTES + MD5_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES))
  decipher.setAAD(placeOf(bucket, name))
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES + MD5_BYTES))
  try {
    const md5 = decipher.update(sealed.subarray(NONCE_BYTES, NONCE_BYTES + MD5_BYTES))
    return Buffer.concat([md5, decipher.final()]).toString('hex')
  } catch {
    return undefined // The tag is not right; the sealed ETag's tag still tells versions apart.
  }
}
