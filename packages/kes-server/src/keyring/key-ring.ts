/**
 * The external keys (EKs) by name: made, used, locked, resumed and erased.
 *
 * What a name may do is decided here and nowhere else. Keys in plaintext are kept between uses, but no use
 * rests on what was kept alone: a change made here drops the key at once, and the store is asked for changes made
 * elsewhere.
 */
import { randomBytes } from 'node:crypto'
import { now } from '../encoding/timestamp.ts'
import {
  InvalidKeySizeError,
  KeyDisabledError,
  KeyNotFoundError,
  NotAllowedError,
  RecordDamagedError,
} from '../errors.ts'
import type { KeyName } from '../names.ts'
import type { KeyMaterial, Seal } from '../seal/seal.ts'
import type { Algorithm, ErasedName, KeyRow, KeyState, KeyStore } from '../store/key-store.ts'
import { CipherKey } from './ciphertext.ts'
import { HmacKey } from './hmac-key.ts'

export type { Algorithm, KeyState }

const KEY_BYTES = 32
const KEY_ID_BYTES = 16

/** A key that may be used now. It must not outlive the synchronous turn in which {@link KeyRing.use} gave it. */
export interface ExternalKey {
  readonly cipher: CipherKey
  /** Absent in keys of KES's first releases. */
  readonly hmac: HmacKey | undefined
}

export interface KeyDescription {
  readonly name: KeyName
  readonly algorithm: Algorithm
  readonly createdAt: string
  readonly createdBy: string
  readonly state: KeyState
  readonly revision: number
  readonly changedAt: string
  readonly changedBy: string
}

/** A key whose record can't be trusted; it answers errors, and can be disabled and erased. */
export interface DamagedKey {
  readonly name: KeyName
  readonly state: 'damaged'
}

export interface CreateOptions {
  /** Take the name of an erased key again. */
  readonly reuse?: boolean
}

export interface NewKey {
  readonly algorithm: Algorithm
  /** 32 bytes; wiped by {@link KeyRing.create}. */
  readonly secretKey: Buffer
}

interface CachedKey extends ExternalKey {
  wasUsed: boolean
}

/** What became of the keys that a pattern names. */
export interface ChangedKeys {
  readonly matched: number
  /** Those that had the other state before. */
  readonly changed: number
  /** Those whose record is damaged. */
  readonly damaged: number
}

export interface KeyRingOptions {
  /** Whether the name of an erased key stays taken. */
  readonly erasedNames: 'reserved' | 'free'
}

export class KeyRing {
  readonly #store: KeyStore
  readonly #seal: Seal
  readonly #options: KeyRingOptions
  readonly #cache = new Map<KeyName, CachedKey>()
  #seenChanges: number
  #hasLookedThisTurn = false
  readonly #endTurn = () => {
    this.#hasLookedThisTurn = false
  }

  constructor(store: KeyStore, seal: Seal, options: KeyRingOptions) {
    this.#store = store
    this.#seal = seal
    this.#options = options
    this.#seenChanges = store.foreignChanges()
  }

  /**
   * The key of this name, for use in this turn.
   *
   * @throws {@link KeyNotFoundError} (404), {@link KeyDisabledError} (403), {@link RecordDamagedError} (502)
   */
  use(name: KeyName): ExternalKey {
    this.#forgetIfChanged()
    const cached = this.#cache.get(name)
    if (cached !== undefined) {
      cached.wasUsed = true
      return cached
    }
    const row = this.#readTrusted(name)
    if (row.state === 'disabled') throw new KeyDisabledError({ detail: `key '${name}' is disabled` })
    const material = this.#seal.unsealKey(row)
    try {
      const key = {
        cipher: CipherKey.from(row.algorithm, material.secretKey),
        hmac: material.hmacKey && HmacKey.from(material.hmacKey),
        wasUsed: true,
      }
      this.#cache.set(name, key)
      return key
    } finally {
      wipe(material)
    }
  }

  /**
   * Makes a key: a random one, or from the bytes of an import. Its HMAC key is always random.
   *
   * @throws KeyExistsError (400), KeyNameReservedError (400), {@link InvalidKeySizeError} (406)
   */
  create(name: KeyName, by: string, { reuse = false }: CreateOptions = {}, imported?: NewKey): void {
    const algorithm = imported?.algorithm ?? 'AES256'
    const secretKey = imported?.secretKey ?? randomBytes(KEY_BYTES)
    const material = { secretKey, hmacKey: randomBytes(KEY_BYTES) }
    try {
      if (secretKey.length !== KEY_BYTES) throw new InvalidKeySizeError(algorithm)
      const createdAt = now()
      const facts = { keyId: randomBytes(KEY_ID_BYTES), name, algorithm, createdAt, createdBy: by }
      const sealed = this.#seal.sealKey(facts, material)
      const row = this.#withMac({
        ...facts,
        sealed,
        state: 'enabled',
        revision: 1,
        changedAt: createdAt,
        changedBy: by,
        journalEntry: 0,
      })
      this.#store.transaction(() => {
        if (reuse || this.#options.erasedNames === 'free') this.#store.dropErased(name)
        this.#store.insert(row)
      }, 'create key')
    } finally {
      wipe(material)
    }
  }

  /** @throws {@link KeyNotFoundError} (404), {@link RecordDamagedError} (502) */
  describe(name: KeyName): KeyDescription {
    return describeRow(this.#readTrusted(name))
  }

  /**
   * Locks or resumes one key. Setting the state that a key has already changes nothing.
   *
   * @returns whether the state changed.
   * @throws {@link KeyNotFoundError} (404); on enable also {@link RecordDamagedError} (502)
   */
  setState(name: KeyName, state: KeyState, by: string): boolean {
    try {
      return this.#store.transaction(() => this.#setState(name, state, by))
    } finally {
      this.#forget(name) // Also after an error: a commit that failed may have happened all the same.
    }
  }

  /**
   * Locks or resumes every key whose name starts with `prefix`, in one transaction: all of them or none. A key whose
   * record is damaged can't be used in any state; it is counted and left as it is, so that it does not keep the
   * others from being locked.
   *
   * @param mayChange - asked for each name; one refusal undoes the whole call.
   * @throws {@link NotAllowedError} (403)
   */
  setStateOfAll(
    prefix: string,
    state: KeyState,
    by: string,
    mayChange: (name: KeyName) => boolean,
  ): ChangedKeys {
    const names: KeyName[] = []
    let changed = 0
    let damaged = 0
    try {
      this.#store.transaction(() => {
        for (const name of this.#allNames(prefix)) {
          if (!mayChange(name))
            throw new NotAllowedError({ detail: `the pattern includes the key '${name}'` })
          names.push(name)
          try {
            if (this.#setState(name, state, by)) changed += 1
          } catch (error) {
            if (!(error instanceof RecordDamagedError)) throw error
            damaged += 1
          }
        }
      })
      return { matched: names.length, changed, damaged }
    } finally {
      for (const name of names) this.#forget(name)
    }
  }

  #setState(name: KeyName, state: KeyState, by: string): boolean {
    const row = state === 'enabled' ? this.#readUsable(name) : this.#store.read(name)
    if (row === undefined) throw new KeyNotFoundError()
    if (row.state === state && this.#seal.isAuthentic(row)) return false
    const changed = this.#withMac({
      ...row,
      state,
      revision: row.revision + 1,
      changedAt: now(),
      changedBy: by,
    })
    this.#store.replace(changed, row.revision)
    return true
  }

  /** A row that unseals, so that enabling never says yes to a key that can't work. */
  #readUsable(name: KeyName): KeyRow {
    const row = this.#readTrusted(name)
    wipe(this.#seal.unsealKey(row))
    return row
  }

  /**
   * Erases a key: all that was encrypted under it is lost when this returns.
   *
   * @throws {@link KeyNotFoundError} (404)
   */
  erase(name: KeyName, by: string): void {
    const tombstone = this.#options.erasedNames === 'free' ? undefined : this.#tombstoneOf(name, by)
    this.#forget(name)
    this.#store.erase(name, tombstone)
  }

  #tombstoneOf(name: KeyName, by: string): ErasedName {
    const facts = { name, keyId: this.#keyIdOf(name), erasedAt: now(), erasedBy: by }
    return { ...facts, mac: this.#seal.macOfErased(facts) }
  }

  /** The id of a key whose record may be damaged beyond reading; then it gets one of its own. */
  #keyIdOf(name: KeyName): Uint8Array {
    try {
      return this.#store.read(name)?.keyId ?? randomBytes(KEY_ID_BYTES)
    } catch (error) {
      if (error instanceof RecordDamagedError) return randomBytes(KEY_ID_BYTES)
      throw error
    }
  }

  /** Names that start with `prefix` and come after `after`, in the order of their bytes. */
  names(prefix: string, after: string | undefined, limit: number): KeyName[] {
    return this.#store.names(prefix, after, limit)
  }

  /** As {@link names}, with what is known of each key. */
  descriptions(prefix: string, after: string | undefined, limit: number): (KeyDescription | DamagedKey)[] {
    return this.#store.rows(prefix, after, limit).map((row) => {
      if ('damaged' in row) return { name: row.damaged, state: 'damaged' }
      return this.#seal.isAuthentic(row) ? describeRow(row) : { name: row.name, state: 'damaged' }
    })
  }

  *#allNames(prefix: string): Generator<KeyName> {
    let after: string | undefined
    for (;;) {
      const page = this.names(prefix, after, 1000)
      yield* page
      after = page.at(-1)
      if (after === undefined) return
    }
  }

  /** Drops every key that is held in plaintext; the next use reads it again. */
  forgetAll(): void {
    for (const name of [...this.#cache.keys()]) this.#forget(name)
  }

  /** Drops the plaintext of keys that nobody has used since the last call. */
  forgetUnused(): void {
    for (const [name, key] of [...this.#cache]) {
      if (key.wasUsed) key.wasUsed = false
      else this.#forget(name)
    }
  }

  #forget(name: KeyName): void {
    const key = this.#cache.get(name)
    if (key === undefined) return
    this.#cache.delete(name)
    key.cipher.destroy()
    key.hmac?.destroy()
  }

  /**
   * Notices what another process has committed. Once in a turn of the event loop is enough, however many uses
   * the turn has: whoever changes a key answers only after every process has begun a later turn, so that a use
   * in this one came before the answer. Changes by this process need no notice: they forget at once.
   */
  #forgetIfChanged(): void {
    if (this.#hasLookedThisTurn) return
    const changes = this.#store.foreignChanges()
    if (changes !== this.#seenChanges) {
      this.forgetAll()
      this.#seenChanges = changes
    }
    this.#hasLookedThisTurn = true
    setImmediate(this.#endTurn)
  }

  #readTrusted(name: KeyName): KeyRow {
    const row = this.#store.read(name)
    if (row === undefined) throw new KeyNotFoundError()
    if (this.#seal.isAuthentic(row)) return row
    throw new RecordDamagedError('read key', { detail: `the record of key '${name}' was changed by hand` })
  }

  #withMac(row: Omit<KeyRow, 'mac'>): KeyRow {
    return { ...row, mac: this.#seal.macOfRow(row) }
  }
}

function describeRow(row: KeyRow): KeyDescription {
  const { name, algorithm, createdAt, createdBy, state, revision, changedAt, changedBy } = row
  return { name, algorithm, createdAt, createdBy, state, revision, changedAt, changedBy }
}

function wipe(material: KeyMaterial): void {
  material.secretKey.fill(0)
  material.hmacKey?.fill(0)
}
