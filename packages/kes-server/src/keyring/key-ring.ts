/**
 * The external keys (EKs) by name: made, used, locked, resumed and erased.
 *
 * What a name may do is decided here and nowhere else. Keys in plaintext are kept between uses, but no use
 * rests on what was kept alone: a change made here drops the key at once, and the store is asked for changes made
 * elsewhere.
 */
import { randomBytes } from 'node:crypto'
import { formatPeriod } from '../encoding/period.ts'
import { randomSecret } from '../encoding/secret-bytes.ts'
import { formatMilliseconds, now } from '../encoding/timestamp.ts'
import {
  ErasePendingError,
  InvalidKeySizeError,
  KeyDisabledError,
  KeyNotFoundError,
  KeyPendingDeletionError,
  NotAllowedError,
  RecordDamagedError,
  WaitingPeriodTooShortError,
  WrongStateError,
} from '../errors.ts'
import type { Actor, EntryFacts, Journal, RecordedEntry } from '../journal/journal.ts'
import type { KeyName } from '../names.ts'
import type { KeyMaterial, Seal } from '../seal/seal.ts'
import { decodeStoredKey, StoredKeyError } from '../seal/stored-key.ts'
import type { KnownBackups } from '../store/journal-store.ts'
import type { Algorithm, KeyRow, KeyState, KeyStore, ScheduledDeletion } from '../store/key-store.ts'
import { CipherKey } from './ciphertext.ts'
import { DeletionClock } from './deletion-clock.ts'
import { deletionOfDetail, detailOfDueErasure, detailOfSchedule } from './deletion-detail.ts'
import { fingerprintOf, fingerprintOfRow } from './fingerprint.ts'
import { HmacKey } from './hmac-key.ts'
import { type KeyId, LastUses } from './last-uses.ts'
import { unlessDamaged } from './unless-damaged.ts'

export type { Algorithm, KeyState }

const KEY_BYTES = 32
/** Named in a receipt. */
const BACKUPS_MAX = 20
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
  /** RFC 3339; of a key that is pending deletion. */
  readonly deletionAt?: string
  /** Number of the last journal entry about the key. */
  readonly epoch: number
  /** RFC 3339; absent if no use is known. */
  readonly lastUsedAt?: string
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

/** What a caller may switch a key to. */
export type SwitchState = 'enabled' | 'disabled'

interface Change {
  readonly action: 'enable' | 'disable' | 'schedule' | 'cancel'
  readonly state: KeyState
  readonly deletion?: ScheduledDeletion
}

export interface NewKey {
  readonly algorithm: Algorithm
  /** 32 bytes; wiped by {@link KeyRing.create}. */
  readonly secretKey: Buffer
}

interface CachedKey extends ExternalKey {
  readonly keyId: KeyId
  wasUsed: boolean
  /** The start of the turn in which it was used last: milliseconds since 1970. */
  usedMs: number
  /** Of the row that the key was unsealed from. */
  readonly mac: Uint8Array
  /** The store's counter of foreign changes when that row was last seen. */
  seenAt: number
}

/** If more keys were changed elsewhere since the last look, all are dropped. */
const CHANGES_MAX = 1000

/** What became of the keys that a pattern names. */
export interface ChangedKeys {
  readonly matched: number
  /** Those that had the other state before. */
  readonly changed: number
  /** Those whose record is damaged. */
  readonly damaged: number
  /** Those that are pending deletion. */
  readonly pending: number
}

/** What the server itself does: it has no identity and no address. */
const SERVER: Actor = { identity: '', ip: '' }

/** How many due keys are erased in one transaction, and so in one turn. */
const DUE_KEYS_MAX = 100

export interface KeyRingOptions {
  /** Whether the name of an erased key stays taken. */
  readonly erasedNames: 'reserved' | 'free'
  /** The least time from a delete to the erasure; 0 if there is none. */
  readonly waitingPeriodMs?: number
  /** Default: by the system's clocks. */
  readonly deletionClock?: DeletionClock
  /** Where uses are noted. Default: a memory of its own. */
  readonly lastUses?: LastUses
}

/** A key that was erased because its waiting period was over. */
export interface DueErasure {
  readonly name: KeyName
  /** Who scheduled it. */
  readonly scheduledBy: string
}

export class KeyRing {
  readonly #store: KeyStore
  readonly #seal: Seal
  readonly #journal: Journal
  readonly #options: KeyRingOptions
  readonly #deletionClock: DeletionClock
  readonly #lastUses: LastUses
  /** Due by their rows, which can't be trusted. Each is reported once. */
  readonly #refusedDeletions = new Set<KeyName>()
  readonly #cache = new Map<KeyName, CachedKey>()
  /** The store's counter of foreign changes at the last look. */
  #seenChanges: number
  /** Number of the journal's last entry that was taken note of. */
  #seenEntry: number
  #hasLookedThisTurn = false
  /** When this turn began, for all uses in it. */
  #turnMs = 0
  readonly #endTurn = () => {
    this.#hasLookedThisTurn = false
  }

  constructor(store: KeyStore, seal: Seal, journal: Journal, options: KeyRingOptions) {
    this.#store = store
    this.#seal = seal
    this.#journal = journal
    this.#options = options
    this.#deletionClock = options.deletionClock ?? new DeletionClock(store, seal)
    this.#lastUses = options.lastUses ?? new LastUses()
    this.#seenChanges = store.foreignChanges()
    this.#seenEntry = journal.head().number
  }

  /**
   * The key of this name, for use in this turn.
   *
   * @throws {@link KeyNotFoundError} (404), {@link KeyDisabledError} (403), {@link KeyPendingDeletionError} (403),
   *   {@link RecordDamagedError} (502)
   */
  use(name: KeyName): ExternalKey {
    if (!this.#hasLookedThisTurn) this.lookForChanges()
    const cached = this.#cache.get(name)
    if (cached !== undefined && this.#isCurrent(name, cached)) {
      cached.wasUsed = true
      cached.usedMs = this.#turnMs
      return cached
    }
    const row = this.#readTrusted(name)
    if (row.state === 'disabled') throw new KeyDisabledError({ detail: `key '${name}' is disabled` })
    if (row.state === 'pending')
      throw new KeyPendingDeletionError({ detail: `key '${name}' is pending deletion` })
    const material = this.#seal.unsealKey(row)
    try {
      const key = {
        cipher: CipherKey.from(row.algorithm, material.secretKey),
        hmac: material.hmacKey && HmacKey.from(material.hmacKey),
        keyId: idOf(row),
        wasUsed: true,
        usedMs: this.#turnMs,
        mac: row.mac,
        seenAt: this.#seenChanges,
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
  create(name: KeyName, by: Actor, { reuse = false }: CreateOptions = {}, imported?: NewKey): void {
    const algorithm = imported?.algorithm ?? 'AES256'
    const secretKey = imported?.secretKey ?? randomSecret(KEY_BYTES)
    const material = { secretKey, hmacKey: randomSecret(KEY_BYTES) }
    try {
      if (secretKey.length !== KEY_BYTES) throw new InvalidKeySizeError(algorithm)
      const createdAt = now()
      const facts = { keyId: randomBytes(KEY_ID_BYTES), name, algorithm, createdAt, createdBy: by.identity }
      const fingerprint = fingerprintOf(secretKey)
      const state = { state: 'enabled', revision: 1 } as const
      this.#store.transaction(() => {
        const mayReuse = reuse || this.#options.erasedNames === 'free'
        const wasErased = mayReuse && this.#store.dropErased(name)
        const action = imported !== undefined ? 'import' : wasErased ? 'reuse' : 'create'
        const recorded = this.#record({ ...facts, ...state, fingerprint, time: createdAt, action }, by)
        const changed = { changedAt: createdAt, changedBy: by.identity, journalEntry: recorded.entry.number }
        // Asked in here: another process may have changed the root key.
        const rootGeneration = this.#store.rootGeneration()
        const sealed = this.#seal.sealKey(rootGeneration, facts, material)
        this.#store.insert(this.#withMac({ ...facts, sealed, ...state, ...changed, rootGeneration }))
      }, 'create key')
    } finally {
      wipe(material)
    }
  }

  /** @throws {@link KeyNotFoundError} (404), {@link RecordDamagedError} (502) */
  describe(name: KeyName): KeyDescription {
    return this.#describe(this.#readTrusted(name))
  }

  /**
   * Locks or resumes one key. Setting the state that a key has already changes nothing.
   *
   * @returns whether the state changed.
   * @throws {@link KeyNotFoundError} (404), {@link WrongStateError} (409) if its deletion is scheduled; on enable also
   *   {@link RecordDamagedError} (502)
   */
  setState(name: KeyName, state: SwitchState, by: Actor): boolean {
    try {
      return this.#changeState(state, () => this.#setState(name, state, by))
    } finally {
      this.#forget(name) // Also after an error: a commit that failed may have happened all the same.
    }
  }

  /**
   * Locks or resumes every key whose name starts with `prefix`, in one transaction: all of them or none. A key that is
   * pending deletion can't be used in any state, and one whose record is damaged can be locked at most; whatever can't be
   * changed is counted and left as it is, so that it does not keep the others from being locked.
   *
   * @param mayChange - asked for each name; one refusal undoes the whole call.
   * @throws {@link NotAllowedError} (403)
   */
  setStateOfAll(
    prefix: string,
    state: SwitchState,
    by: Actor,
    mayChange: (name: KeyName) => boolean,
  ): ChangedKeys {
    const names: KeyName[] = []
    let changed = 0
    let damaged = 0
    let pending = 0
    try {
      this.#changeState(state, () => {
        names.length = 0
        changed = 0
        damaged = 0
        pending = 0
        for (const name of this.#allNames(prefix)) {
          if (!mayChange(name))
            throw new NotAllowedError({ detail: `the pattern includes the key '${name}'` })
          names.push(name)
          try {
            if (this.#setState(name, state, by)) changed += 1
          } catch (error) {
            if (error instanceof RecordDamagedError) damaged += 1
            else if (error instanceof WrongStateError) pending += 1
            else throw error
          }
        }
      })
      return { matched: names.length, changed, damaged, pending }
    } finally {
      for (const name of names) this.#forget(name)
    }
  }

  /** To lock must work on a full disk, too; then `body` may run twice. */
  #changeState<T>(state: SwitchState, body: () => T): T {
    return state === 'enabled' ? this.#store.transaction(body) : this.#store.lockingTransaction(body)
  }

  #setState(name: KeyName, state: SwitchState, by: Actor): boolean {
    const row = state === 'enabled' ? this.#readUsable(name) : this.#store.read(name)
    if (row === undefined) throw new KeyNotFoundError()
    const isTrusted = this.#isTrusted(row)
    if (this.#deletionOf(row, isTrusted) !== undefined) throw new WrongStateError('pending deletion')
    if (row.state === state && isTrusted) return false
    this.#change(row, isTrusted, { action: state === 'enabled' ? 'enable' : 'disable', state }, by)
    return true
  }

  /**
   * Writes the row of a key anew, and its entry. Works for a row that was edited, too: then what the journal knows of the
   * key goes before.
   */
  #change(row: KeyRow, isTrusted: boolean, { action, state, deletion }: Change, by: Actor): KeyRow {
    const { name } = row
    const last = isTrusted ? undefined : this.#lastOfSameKey(row)
    const revision = Math.max(row.revision, last?.revision ?? 0) + 1
    const time = now()
    const { algorithm, createdAt, createdBy } = isTrusted ? row : (this.#journal.provenLastOf(name) ?? row)
    const facts = { name, keyId: row.keyId, algorithm, createdAt, createdBy, fingerprint: undefined }
    const detail = deletion === undefined ? {} : { detail: detailOfSchedule(deletion) }
    const { entry } = this.#record({ ...facts, state, revision, time, action, ...detail }, by)
    const changed = { revision, changedAt: time, changedBy: by.identity, journalEntry: entry.number }
    // A row that no root key opens was damaged before the last change of it: its state is all that can be signed.
    const isKnown = this.#seal.knows(row.rootGeneration)
    const rootGeneration = isKnown ? row.rootGeneration : this.#store.rootGeneration()
    const written = this.#withMac({ ...row, ...changed, state, deletion, rootGeneration })
    this.#store.replace(written, row.revision)
    this.#refusedDeletions.delete(name)
    return written
  }

  /**
   * Schedules the erasure of a key, which can't be used from now on.
   *
   * @param waitingMs - how long it can be taken back.
   * @throws {@link WaitingPeriodTooShortError} (400), {@link KeyNotFoundError} (404), {@link WrongStateError} (409) if it
   *   is scheduled already, {@link RecordDamagedError} (502) if the record can't be read at all
   */
  schedule(name: KeyName, waitingMs: number, by: Actor): KeyDescription {
    this.#assertLongEnough(waitingMs)
    try {
      return this.#store.lockingTransaction(() => {
        const row = this.#store.read(name)
        if (row === undefined) throw new KeyNotFoundError()
        const isTrusted = this.#isTrusted(row)
        if (this.#deletionOf(row, isTrusted) !== undefined) throw new WrongStateError('pending deletion')
        const deletion = this.#deletionClock.schedule(waitingMs)
        const change = { action: 'schedule', state: 'pending', deletion } as const
        return this.#describe(this.#change(row, isTrusted, change, by))
      }, 'delete key')
    } finally {
      this.#forget(name)
    }
  }

  /**
   * Takes a scheduled deletion back. The key is disabled then: whoever wants it to be used says so.
   *
   * @throws {@link KeyNotFoundError} (404), {@link WrongStateError} (409) if no deletion is scheduled
   */
  cancelDeletion(name: KeyName, by: Actor): void {
    this.#store.transaction(() => {
      const row = this.#store.read(name)
      if (row === undefined) throw new KeyNotFoundError()
      const isTrusted = this.#isTrusted(row)
      if (this.#deletionOf(row, isTrusted) === undefined) throw new WrongStateError('not pending deletion')
      this.#change(row, isTrusted, { action: 'cancel', state: 'disabled' }, by)
    })
  }

  /** The scheduled deletion by the key's row or, if that was edited, by the signed entry that scheduled it. */
  #deletionOf(row: KeyRow, isTrusted: boolean): ScheduledDeletion | undefined {
    return isTrusted ? row.deletion : this.#journaledDeletionOf(row.name)
  }

  #journaledDeletionOf(name: KeyName): ScheduledDeletion | undefined {
    const last = this.#journal.provenLastOf(name)
    return last?.state === 'pending' ? deletionOfDetail(last.detail) : undefined
  }

  #assertLongEnough(waitingMs: number): void {
    const leastMs = this.waitingPeriodMs
    if (waitingMs < leastMs) throw new WaitingPeriodTooShortError(formatPeriod(leastMs))
  }

  /** The least time from a delete to the erasure. */
  get waitingPeriodMs(): number {
    return this.#options.waitingPeriodMs ?? 0
  }

  /** Whether a key of this name was erased and is still to be removed from the disk, or nobody was told that it is. */
  isErasing(name: KeyName): boolean {
    return !this.#store.has(name) && this.#store.isErasing(name)
  }

  /** Whether a key's waiting period is over. */
  hasDue(): boolean {
    return this.#dueNames().length > 0
  }

  /**
   * Erases keys whose waiting period is over, a number of them in one transaction. What is left of them in the store's
   * files is removed by {@link KeyStore.purge}.
   *
   * @param onRefused - told once of a key that is due by its row, which can't be trusted. It stays.
   * @returns those that were erased; to be called again until there are none.
   */
  eraseDue(onRefused: (name: KeyName) => void): DueErasure[] {
    if (!this.hasDue()) return []
    return this.#store.transaction(() => {
      const erased: DueErasure[] = []
      for (const name of this.#dueNames()) {
        this.#forget(name)
        const row = unlessDamaged(() => this.#readTrusted(name))
        if (row?.deletion === undefined) {
          this.#refusedDeletions.add(name)
          onRefused(name)
        } else {
          this.#eraseNow(name, SERVER, { detail: detailOfDueErasure(row, row.deletion) })
          erased.push({ name, scheduledBy: row.changedBy })
        }
      }
      return erased
    }, 'delete key')
  }

  #dueNames(): KeyName[] {
    const names = this.#deletionClock.dueNames(DUE_KEYS_MAX + this.#refusedDeletions.size)
    return names.filter((name) => !this.#refusedDeletions.has(name))
  }

  /**
   * The last entry of a key whose row was edited. Disabling signs that row anew, so it must not bring back a key that
   * the journal knows as erased or replaced.
   *
   * @throws {@link RecordDamagedError} (502)
   */
  #lastOfSameKey(row: KeyRow) {
    const last = this.#journal.lastOf(row.name)
    if (last === undefined || (last.state !== 'erased' && Buffer.compare(last.keyId, row.keyId) === 0))
      return last
    throw damaged(row.name, 'is that of a key that was erased: it was put back by hand')
  }

  /** A row that unseals, so that enabling never says yes to a key that can't work. */
  #readUsable(name: KeyName): KeyRow {
    const row = this.#readTrusted(name)
    wipe(this.#seal.unsealKey(row))
    return row
  }

  /**
   * Erases a key: no use can succeed any more when this returns, and no file of the store holds its record when the
   * promise is fulfilled. To be called again after {@link ErasePendingError}: then it ends once the record is gone.
   *
   * @returns the journal's entry, from which a receipt is made.
   * @throws {@link KeyNotFoundError} (404), {@link WaitingPeriodTooShortError} (400), {@link WrongStateError} (409) if the
   *   deletion is scheduled for later, at once; the promise rejects with {@link ErasePendingError} (503).
   */
  erase(name: KeyName, by: Actor): Promise<RecordedEntry> {
    const recorded = this.isErasing(name) ? this.#journal.lastErasureOf(name) : this.#erase(name, by)
    return this.#store.finishErasure(name).then(() => recorded)
  }

  #erase(name: KeyName, by: Actor): RecordedEntry {
    this.#forget(name)
    return this.#store.lockingTransaction(() => {
      if (!this.#store.has(name)) throw new KeyNotFoundError()
      const row = unlessDamaged(() => this.#store.read(name))
      const deletion = row ? this.#deletionOf(row, this.#isTrusted(row)) : this.#journaledDeletionOf(name)
      // What is due and still here has a row that can't be trusted: nobody but a caller may erase it.
      if (deletion === undefined) this.#assertLongEnough(0)
      else if (!this.#deletionClock.isDue(deletion)) throw new WrongStateError('pending deletion')
      return this.#eraseNow(name, by)
    }, 'delete key')
  }

  #eraseNow(name: KeyName, by: Actor, detail: Pick<EntryFacts, 'detail'> = {}): RecordedEntry {
    const recorded = this.#record({ ...this.#factsOfErasure(name), ...detail }, by)
    const { keyId, time } = recorded.entry
    const rootGeneration = this.#store.rootGeneration()
    const facts = { name, keyId, erasedAt: time, erasedBy: by.identity, rootGeneration }
    const tombstone = { ...facts, mac: this.#seal.macOfErased(facts) }
    this.#store.erase(name, this.#options.erasedNames === 'free' ? undefined : tombstone)
    this.#lastUses.forget(idOf({ keyId }))
    return recorded
  }

  /** What can still be said for sure of a key whose record may be damaged beyond reading. */
  #factsOfErasure(name: KeyName): Omit<EntryFacts, keyof Actor> {
    const erasure = { time: now(), action: 'erase', state: 'erased', name } as const
    const row = unlessDamaged(() => this.#store.read(name))
    const isTrusted = row !== undefined && this.#isTrusted(row)
    // What unseals has the facts that it was sealed with; a row that was edited and then disabled has not.
    const fingerprint = isTrusted ? fingerprintOfRow(this.#seal, row) : undefined
    if (isTrusted && fingerprint !== undefined) {
      const { keyId, algorithm, createdAt, createdBy } = row
      return { ...erasure, keyId, algorithm, createdAt, createdBy, fingerprint, revision: row.revision + 1 }
    }
    const last = this.#journal.provenLastOf(name)
    if (last !== undefined && last.state !== 'erased') {
      const { keyId, algorithm, createdAt, createdBy } = last
      const revision = last.revision + 1
      return { ...erasure, keyId, algorithm, createdAt, createdBy, fingerprint: undefined, revision }
    }
    const keyId = row?.keyId ?? randomBytes(KEY_ID_BYTES)
    const unknown = {
      algorithm: undefined,
      createdAt: '',
      createdBy: '',
      fingerprint: undefined,
      revision: 0,
    }
    return { ...erasure, ...unknown, keyId }
  }

  /**
   * The last erasure under this name, of which a receipt may be given.
   *
   * @throws {@link KeyNotFoundError} (404) if there was none, {@link ErasePendingError} (503) while a file of the store may
   *   still hold the record, {@link RecordDamagedError} (502)
   */
  erasureOf(name: KeyName): RecordedEntry {
    const erasure = this.#journal.erasureOf(name)
    if (erasure === undefined) throw new KeyNotFoundError()
    if (this.#store.mayHoldErased(name)) {
      throw new ErasePendingError({ detail: `the files of the store may still hold key '${name}'` })
    }
    return erasure
  }

  /** The backups that were made while the key of this entry existed. */
  backupsOf({ entry }: RecordedEntry): KnownBackups {
    const made = this.#journal.firstOf(entry.name as KeyName, entry.keyId)
    return this.#store.backupsAfter(made, BACKUPS_MAX)
  }

  /** The journal's entries about all keys that have had this name. @throws {@link RecordDamagedError} (502) */
  history(name: KeyName, after: number, limit: number): RecordedEntry[] {
    return this.#journal.history(name, after, limit)
  }

  /** Names that start with `prefix` and come after `after`, in the order of their bytes. */
  names(prefix: string, after: string | undefined, limit: number): KeyName[] {
    return this.#store.names(prefix, after, limit)
  }

  /** As {@link names}, with what is known of each key. */
  descriptions(prefix: string, after: string | undefined, limit: number): (KeyDescription | DamagedKey)[] {
    return this.#store.consistently(() =>
      this.#store.rows(prefix, after, limit).map((row) => {
        if ('damaged' in row) return { name: row.damaged, state: 'damaged' }
        return this.#isTrusted(row) ? this.#describe(row) : { name: row.name, state: 'damaged' }
      }),
    )
  }

  #describe(row: KeyRow): KeyDescription {
    const { name, algorithm, createdAt, createdBy, state, revision, changedAt, changedBy, deletion } = row
    const cached = this.#cache.get(name)
    if (cached !== undefined) this.#noteUse(cached)
    const usedMs = this.#lastUses.of(idOf(row))
    return {
      name,
      algorithm,
      createdAt,
      createdBy,
      state,
      revision,
      changedAt,
      changedBy,
      ...(deletion === undefined ? {} : { deletionAt: formatMilliseconds(deletion.atMs) }),
      epoch: row.journalEntry,
      ...(usedMs === undefined ? {} : { lastUsedAt: formatMilliseconds(usedMs) }),
    }
  }

  /** Notes the last uses of all keys that are held in plaintext; those of others are noted already. */
  noteUses(): void {
    for (const key of this.#cache.values()) this.#noteUse(key)
  }

  #noteUse({ keyId, usedMs }: CachedKey): void {
    this.#lastUses.add([[keyId, usedMs]])
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
    this.#noteUse(key)
    this.#cache.delete(name)
    key.cipher.destroy()
    key.hmac?.destroy()
  }

  /**
   * Takes note of what another process has committed: keys that its entries in the journal name are dropped at once,
   * every other one is compared with its row before its next use, because a row may also have been edited by hand.
   *
   * Once in a turn of the event loop is enough, however many uses the turn has: whoever changes a key answers only
   * after every process has begun a later turn, so that a use in this one came before the answer. Changes by this
   * process need no notice: they forget at once.
   */
  lookForChanges(): void {
    const foreignChanges = this.#store.foreignChanges()
    if (foreignChanges !== this.#seenChanges) this.#forgetChanged(foreignChanges)
    if (this.#hasLookedThisTurn) return
    this.#hasLookedThisTurn = true
    this.#turnMs = Date.now()
    setImmediate(this.#endTurn)
  }

  /** Should it fail, the next look begins where this one did. */
  #forgetChanged(foreignChanges: number): void {
    const changes = this.#journal.changesSince(this.#seenEntry, CHANGES_MAX)
    if (changes === undefined) this.forgetAll()
    else for (const name of changes.names) this.#forget(name as KeyName)
    this.#seenEntry = changes?.last ?? this.#journal.head().number
    this.#seenChanges = foreignChanges
  }

  /** Whether the row is still the one that the key was unsealed from; if not, the key is dropped. */
  #isCurrent(name: KeyName, key: CachedKey): boolean {
    if (key.seenAt === this.#seenChanges) return true
    const mac = this.#store.readMac(name)
    if (mac === undefined || Buffer.compare(mac, key.mac) !== 0) {
      this.#forget(name)
      return false
    }
    key.seenAt = this.#seenChanges
    return true
  }

  #readTrusted(name: KeyName): KeyRow {
    return this.#store.consistently(() => {
      const row = this.#store.read(name)
      if (row === undefined)
        throw this.#isDebris(name) ? damaged(name, 'holds no key') : new KeyNotFoundError()
      if (!this.#seal.isAuthentic(row)) throw damaged(name, 'was changed by hand')
      if (!this.#journal.agreesWith(row)) {
        throw damaged(name, 'is not as its last entry in the journal left it')
      }
      return row
    })
  }

  /**
   * Whether a file stands under the name that holds no key. To say that there is none would have a client make it anew,
   * which the file prevents. A file that does hold one is just being made, or is taken over at the next start.
   */
  #isDebris(name: KeyName): boolean {
    const value = this.#store.readStray(name)
    return value !== undefined && !holdsKey(value) && this.#journal.provenLastOf(name)?.state !== 'erased'
  }

  #isTrusted(row: KeyRow): boolean {
    return this.#seal.isAuthentic(row) && this.#journal.agreesWith(row)
  }

  /** Inside the transaction of the change. */
  #record(facts: Omit<EntryFacts, keyof Actor>, { identity, ip }: Actor): RecordedEntry {
    const { time, action, name, keyId, algorithm, state, revision, createdAt, createdBy, fingerprint } = facts
    const key = { name, keyId, algorithm, state, revision, createdAt, createdBy, fingerprint }
    const detail = facts.detail === undefined ? {} : { detail: facts.detail }
    return this.#journal.append({ time, action, ...key, identity, ip, ...detail })
  }

  #withMac(row: Omit<KeyRow, 'mac'>): KeyRow {
    return { ...row, mac: this.#seal.macOfRow(row) }
  }
}

function holdsKey(value: Buffer): boolean {
  try {
    wipe(decodeStoredKey(value))
    return true
  } catch (error) {
    if (error instanceof StoredKeyError) return false
    throw error
  } finally {
    value.fill(0)
  }
}

function damaged(name: KeyName, why: string): RecordDamagedError {
  return new RecordDamagedError('read key', { detail: `the record of key '${name}' ${why}` })
}

function idOf({ keyId }: Pick<KeyRow, 'keyId'>): KeyId {
  return Buffer.from(keyId).toString('hex')
}

function wipe(material: KeyMaterial): void {
  material.secretKey.fill(0)
  material.hmacKey?.fill(0)
}
