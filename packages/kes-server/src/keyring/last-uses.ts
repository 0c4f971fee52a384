/**
 * When each key was last used.
 *
 * Kept in memory and now and then in a file beside the store, because a use must not wait for a disk: a server that is
 * killed forgets the last minute. By key id, so that a new key under an old name has not been used.
 *
 *     offset    bytes  field
 *          0        8  `LKEYUSE1`
 *          8       16  store id
 *         24   24 × n  key id (16), milliseconds since 1970 (8, big-endian)
 *     24 + 24n     32  SHA-256 of all before
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { isCode, writePrivateFile } from '../store/store-file.ts'

const MAGIC = Buffer.from('LKEYUSE1')
const ID_BYTES = 16
const HEADER_BYTES = MAGIC.length + ID_BYTES
const USE_BYTES = ID_BYTES + 8
const HASH_BYTES = 32
const SUFFIX = '.uses'
/** Processes tell of uses each minute. One told later still does no harm: key ids are never given again. */
const TOLD_MS = 2 * 60_000

/** In hex. */
export type KeyId = string
/** A key, and when it was used: milliseconds since 1970. */
export type KeyUse = readonly [keyId: KeyId, usedMs: number]

export class LastUses {
  readonly #uses = new Map<KeyId, number>()
  /** Keys that were erased: another process may tell of a use only now. Those of this period, and of the one before. */
  #forgotten: [now: Set<KeyId>, before: Set<KeyId>] = [new Set(), new Set()]
  #periodEndsMs = 0
  readonly #listeners: ((keyId: KeyId) => void)[] = []
  #isChanged = false

  /**
   * Of uses of one key the last one counts, whatever the order in which they are told.
   *
   * @returns those that were news.
   */
  add(uses: Iterable<KeyUse>): KeyUse[] {
    this.#endPeriod()
    const news: KeyUse[] = []
    for (const use of uses) {
      const [keyId, usedMs] = use
      if (usedMs <= (this.#uses.get(keyId) ?? 0) || this.#forgotten.some((keys) => keys.has(keyId))) continue
      this.#uses.set(keyId, usedMs)
      this.#isChanged = true
      news.push(use)
    }
    return news
  }

  all(): KeyUse[] {
    return [...this.#uses]
  }

  of(keyId: KeyId): number | undefined {
    return this.#uses.get(keyId)
  }

  /** For a key that was erased. */
  forget(keyId: KeyId): void {
    this.#endPeriod()
    this.#forgotten[0].add(keyId)
    if (this.#uses.delete(keyId)) this.#isChanged = true
    for (const listener of this.#listeners) listener(keyId)
  }

  #endPeriod(): void {
    const nowMs = performance.now()
    if (nowMs < this.#periodEndsMs) return
    const isLongOver = nowMs >= this.#periodEndsMs + TOLD_MS
    this.#forgotten = [new Set(), isLongOver ? new Set() : this.#forgotten[0]]
    this.#periodEndsMs = nowMs + TOLD_MS
  }

  /** @param listener - called for each key that is forgotten. */
  onForget(listener: (keyId: KeyId) => void): void {
    this.#listeners.push(listener)
  }

  /** Whether {@link LastUses.save} would write. */
  get hasNews(): boolean {
    return this.#isChanged
  }

  /** Writes the file if there is news, the whole or nothing. @throws what the disk answers. */
  save(storePath: string, storeId: Uint8Array): void {
    if (!this.#isChanged) return
    writePrivateFile(storePath + SUFFIX, encode(this.#uses, storeId))
    this.#isChanged = false
  }

  /** @returns sentences for the operator, if there is a file that says nothing: then no use is known. */
  load(storePath: string, storeId: Uint8Array): string[] {
    const path = storePath + SUFFIX
    try {
      const uses = decode(readFileSync(path), storeId)
      if (uses === undefined) return [`'${path}' is damaged, so it is not known when keys were last used`]
      for (const [keyId, usedMs] of uses) this.#uses.set(keyId, usedMs)
      return []
    } catch (error) {
      if (isCode(error, 'ENOENT')) return []
      return [`'${path}' can not be read, so it is not known when keys were last used: ${messageOf(error)}`]
    }
  }
}

function encode(uses: ReadonlyMap<KeyId, number>, storeId: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + uses.size * USE_BYTES + HASH_BYTES)
  bytes.set(MAGIC)
  bytes.set(storeId, MAGIC.length)
  let at = HEADER_BYTES
  for (const [keyId, usedMs] of uses) {
    bytes.write(keyId, at, 'hex')
    bytes.writeBigUInt64BE(BigInt(usedMs), at + ID_BYTES)
    at += USE_BYTES
  }
  bytes.set(hashOf(bytes.subarray(0, at)), at)
  return bytes
}

/** @returns undefined if this is no such file, or that of another store. */
function decode(bytes: Buffer, storeId: Uint8Array): KeyUse[] | undefined {
  const end = bytes.length - HASH_BYTES
  if (end < HEADER_BYTES || (end - HEADER_BYTES) % USE_BYTES !== 0) return undefined
  const isOurs = bytes.subarray(0, HEADER_BYTES).equals(Buffer.concat([MAGIC, storeId]))
  if (!isOurs || !bytes.subarray(end).equals(hashOf(bytes.subarray(0, end)))) return undefined
  const uses: KeyUse[] = []
  for (let at = HEADER_BYTES; at < end; at += USE_BYTES) {
    const keyId = bytes.toString('hex', at, at + ID_BYTES)
    uses.push([keyId, Number(bytes.readBigUInt64BE(at + ID_BYTES))])
  }
  return uses
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
