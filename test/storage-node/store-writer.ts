/**
 * Changes an object store until it is killed, and says of each change before it begins and once it was answered, a
 * line each: `begin KEY VALUE`, `done KEY VALUE`. A value is a number that content is made from; `none` for no object.
 *
 *     node store-writer.ts FOLDER SEED [CHANGES]
 *
 * With a number of changes, it makes so many, one after the other, says `failed KEY ERROR` of those that the disk
 * refuses, and ends.
 */
import { writeSync } from 'node:fs'
import { FileObjectStore, type ObjectProperties, StorageError } from '@latchkey/storage-node'
import { BUCKET, contentOf, KEYS, KMS, NONE, partsOf, readBack, writeEncrypted } from './stored-values.ts'

/** One change of a key at a time; of different keys, as many as there are writers. */
const WRITERS = 8

const [, , folder = '', seed = '0', changes] = process.argv
let state = Number(seed)

/** The same numbers for the same seed, so that a failure can be repeated. */
function random(below: number): number {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return (state >>> 8) % below
}

function say(line: string): void {
  writeSync(1, `${line}\n`)
}

async function change(store: FileObjectStore, key: string): Promise<void> {
  const kind = random(10)
  const value = kind < 3 ? NONE : `${random(1_000_000)}`
  say(`begin ${key} ${value}`)
  if (value === NONE) await store.delete(BUCKET, key)
  else if (kind < 5) await putInParts(store, key, value)
  else await putWhole(store, key, value, kind < 8)
  say(`done ${key} ${value}`)
  // Somebody reads while others write, and is served whatever becomes of the object meanwhile.
  await readBack(store, KEYS[random(KEYS.length)] ?? key)
}

async function putWhole(
  store: FileObjectStore,
  key: string,
  value: string,
  isEncrypted: boolean,
): Promise<void> {
  const content = contentOf(value)
  if (isEncrypted) {
    const { pieces, properties } = await writeEncrypted(KMS, key, content)
    await store.put(BUCKET, key, pieces, () => properties, { isAuthenticated: true })
    return
  }
  const properties: ObjectProperties = { size: content.length, etag: value, internal: {}, headers: {} }
  await store.put(BUCKET, key, one(content), () => properties, { isAuthenticated: false })
}

async function putInParts(store: FileObjectStore, key: string, value: string): Promise<void> {
  const begun = await store.createUpload(BUCKET, key, { internal: {}, headers: {} })
  await store.replaceUpload(begun, { 'x-latchkey-value': value }) // As a rotation of keys does.
  const upload = store.upload(BUCKET, key, begun.id)
  const parts = partsOf(value)
  for (const [index, part] of parts.entries()) {
    const finish = () => ({ size: part.length, etag: `${index}` })
    await store.putPart(upload, index + 1, one(part), finish, { isAuthenticated: false })
  }
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  const properties: ObjectProperties = { size, etag: value, internal: {}, headers: {} }
  await store.completeUpload(upload, store.parts(upload), properties)
}

async function* one(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}

/** What the store says of the disk, and what the system does; everything else is a defect. */
function isOfTheDisk(error: unknown): error is Error {
  return error instanceof StorageError || (error instanceof Error && 'code' in error)
}

async function changeInTurn(store: FileObjectStore, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const key = KEYS[number % 3] ?? ''
    try {
      await change(store, key)
    } catch (error) {
      if (!isOfTheDisk(error)) throw error
      say(`failed ${key} ${error.name}`)
    }
  }
}

async function changeUntilKilled(store: FileObjectStore): Promise<void> {
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      const own = KEYS.filter((_, index) => index % WRITERS === writer)
      for (;;) await change(store, own[random(own.length)] ?? '')
    }),
  )
}

try {
  await using store = await FileObjectStore.open(folder)
  if (store.buckets().length === 0) await store.createBucket(BUCKET)
  say('ready')
  if (changes === undefined) await changeUntilKilled(store)
  else await changeInTurn(store, Number(changes))
} catch (error) {
  if (changes === undefined || !isOfTheDisk(error)) throw error
  say(`failed start ${error.name}`)
}
