/** Objects whose content follows from a number, so that who reads one can tell which it is, and that it is whole. */
import { createHash } from 'node:crypto'
import { BuiltinKms, type Kms } from '@latchkey/kms-client/kms'
import {
  beginEncryption,
  encodeEncryption,
  encryptContent,
  type FileObjectStore,
  NoSuchKeyError,
  type ObjectProperties,
  openEncryption,
  readContent,
} from '@latchkey/storage-node'

export const BUCKET = 'bucket'
export const NONE = 'none'
export const KEYS = Array.from({ length: 40 }, (_, index) => `key-${index}`)
/** A fixed key: each process that writes or reads must have the same. */
export const KMS = new BuiltinKms('my-key', Buffer.alloc(32, 1))

const BYTES_MAX = 300_000

/** Begins with the value itself. */
export function contentOf(value: string): Buffer {
  const digest = createHash('sha256').update(value).digest()
  const bytes = 16 + (digest.readUInt32LE(0) % BYTES_MAX)
  return Buffer.concat([Buffer.from(value.padEnd(16)), Buffer.alloc(bytes - 16, digest)])
}

export function partsOf(value: string): Buffer[] {
  const content = contentOf(value)
  const middle = Math.floor(content.length / 3)
  return [content.subarray(0, middle), content.subarray(middle)]
}

export async function writeEncrypted(
  kms: Kms,
  key: string,
  content: Buffer,
): Promise<{ pieces: AsyncIterable<Uint8Array>; properties: ObjectProperties }> {
  const { objectKey, stored } = await beginEncryption(kms, { bucket: BUCKET, key }, { kind: 'SSE-S3' })
  async function* pieces() {
    yield content
  }
  return {
    pieces: encryptContent(pieces(), objectKey),
    properties: { size: content.length, etag: '', internal: encodeEncryption(stored), headers: {} },
  }
}

/** @returns the value that the object was made from, `none` if there is no object. @throws if it is not whole. */
export async function readBack(store: FileObjectStore, key: string): Promise<string> {
  try {
    await using object = await store.open(BUCKET, key)
    const { record } = object
    const objectKey = await openEncryption(KMS, { bucket: BUCKET, key }, record.internal)
    const pieces: Buffer[] = []
    for await (const piece of readContent(object, objectKey, { offset: 0, length: record.size })) {
      pieces.push(Buffer.from(piece))
    }
    const content = Buffer.concat(pieces)
    const value = content.subarray(0, 16).toString().trim()
    if (!content.equals(contentOf(value)))
      throw new Error(`${key} is not what was put: it begins with ${value}`)
    return value
  } catch (error) {
    if (error instanceof NoSuchKeyError) return NONE
    throw error
  }
}

/** What a key may hold: what was answered last, or what was begun after that. */
export type Expected = Map<string, Set<string>>

export function nothingStored(): Expected {
  return new Map(KEYS.map((key) => [key, new Set([NONE])]))
}

/** Takes in what `store-writer.ts` has said. */
export function follow(expected: Expected, output: string): void {
  // The last line may be torn: the kill came while it was written, so nothing was begun or answered by it.
  for (const line of output.split('\n').slice(0, -1)) {
    const [word = '', key = '', value = ''] = line.split(' ')
    if (word === 'begin') expected.get(key)?.add(value)
    if (word === 'done') expected.set(key, new Set([value]))
  }
}

/** Sees that every object is whole and one of those it may be, and listed if it is there; takes note of which. */
export async function verify(store: FileObjectStore, expected: Expected): Promise<void> {
  const listed = new Set(store.list(BUCKET, { max: 1000 }).items.map(({ key }) => key))
  for (const key of KEYS) {
    const value = await readBack(store, key)
    const possible = [...(expected.get(key) ?? [])]
    if (!possible.includes(value))
      throw new Error(`${key} is ${value}, and should be ${possible.join(' or ')}`)
    if (listed.has(key) !== (value !== NONE)) throw new Error(`${key} is ${value}, and the listing differs`)
    expected.set(key, new Set([value]))
  }
}
