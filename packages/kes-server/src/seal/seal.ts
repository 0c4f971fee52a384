/**
 * The seal of one open store: seals and unseals its keys, and tells its own rows from edited ones.
 *
 * While the root key changes there are two of them, and each row says by its number under which it is sealed.
 */
import assert from 'node:assert/strict'
import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { now } from '../encoding/timestamp.ts'
import { RecordDamagedError } from '../errors.ts'
import type { ErasedName, KeyRow, StoredRunningTime } from '../store/key-store.ts'
import {
  KEY_FILE_MARK_BYTES,
  type NewSlot,
  type RecordForm,
  type SealStore,
  type StoreFacts,
} from '../store/seal-store.ts'
import { authenticateKeyFile, sealKeyFile, unsealKeyFile } from './file-record.ts'
import { frame } from './frame.ts'
import { sealJournalKey, unsealJournalKey } from './journal-key.ts'
import { unsealOldRoot } from './old-root.ts'
import { DEFAULT_COST, type PassphraseCost } from './passphrase-cost.ts'
import { RootKey } from './root-key.ts'
import {
  type ErasedNameFacts,
  isSameMac,
  type KeyRowFacts,
  macOfErased,
  macOfRow,
  macOfRunningTime,
  type RunningTimeFacts,
  verifyErased,
  verifyRow,
} from './row-mac.ts'
import { SealDamagedError, SealOpenError } from './seal-errors.ts'
import { type KeyFacts, type KeyMaterial, type SealedRecord, sealKey, unsealKey } from './sealed-record.ts'
import { createSlot, openSlots, type Secret, type SlotFacts } from './slots.ts'

export type { KeyFacts, KeyMaterial, PassphraseCost, SealedRecord, Secret }

const STORE_ID_BYTES = 16

export interface CreateSealOptions {
  /** Of a passphrase; see {@link DEFAULT_COST}. */
  readonly cost?: PassphraseCost
  /** What the operator calls the first slot. */
  readonly label?: string
}

/** The keys derived from a root key while the store is open. */
interface Subkeys {
  readonly sealing: KeyObject
  readonly fileMac: KeyObject
  readonly rowMac: KeyObject
  /** Undefined in a process that does not write. */
  readonly journal: KeyObject | undefined
}

/** The keys of one root key that reading takes: 32 bytes each, which whoever gets them wipes. */
export interface ReadingKeys {
  readonly generation: number
  readonly sealing: Buffer
  readonly fileMac: Buffer
  readonly rowMac: Buffer
}

const FIRST_GENERATION = 1

export class Seal {
  readonly #storeId: Uint8Array
  readonly #recordForm: RecordForm
  /** By the number of their root key. */
  readonly #subkeys = new Map<number, Subkeys>()
  #isDestroyed = false
  /** The slot that opened the store; undefined for a store in memory. */
  readonly ownSlot: number | undefined

  private constructor(storeId: Uint8Array, recordForm: RecordForm, ownSlot?: number) {
    this.#storeId = storeId
    this.#recordForm = recordForm
    this.ownSlot = ownSlot
  }

  /** The seal of a store that another process has opened; it begins without keys, see {@link Seal.learnToRead}. */
  static forReading(storeId: Uint8Array, recordForm: RecordForm): Seal {
    return new Seal(storeId, recordForm)
  }

  /** For a process that only reads the store: with these it can't sign for the journal. */
  exportReadingKeys(generation: number): ReadingKeys {
    const { sealing, fileMac, rowMac } = this.#keysOf(generation)
    return { generation, sealing: sealing.export(), fileMac: fileMac.export(), rowMac: rowMac.export() }
  }

  /** The numbers of the root keys whose rows can be unsealed. */
  get generations(): number[] {
    return [...this.#subkeys.keys()]
  }

  /** Whether the store has a root key. Only a store that has none may get one, by {@link Seal.create}. */
  static isSetUp(store: SealStore): boolean {
    return store.readSeal() !== undefined
  }

  /**
   * Sets a new store up: a random root key, wrapped in a first slot. One transaction, so that an interrupted set-up
   * leaves a store without root key and without keys, which the next call completes.
   *
   * @param secret - wiped, whatever happens.
   * @throws {@link UnfitSecretError} if the secret or its cost is out of bounds.
   * @throws {@link StoreOpenError} if the store is set up already.
   */
  static create(store: SealStore, secret: Secret, options: CreateSealOptions = {}): Seal {
    try {
      return Seal.#create(
        store,
        (rootKey, facts) => [createSlot(rootKey, secret, options.cost ?? DEFAULT_COST, facts)],
        options.label,
      )
    } finally {
      wipe(secret)
    }
  }

  /**
   * For a store in memory: no slot, so nothing opens it once the process has ended.
   *
   * @throws {@link StoreOpenError} if the store outlives the process.
   */
  static createInMemory(store: SealStore): Seal {
    return Seal.#create(store, () => [])
  }

  static #create(
    store: SealStore,
    makeSlots: (rootKey: RootKey, facts: SlotFacts) => NewSlot[],
    label = 'first',
  ): Seal {
    const rootKey = RootKey.generate()
    try {
      const storeId = randomBytes(STORE_ID_BYTES)
      const createdAt = now()
      const slots = makeSlots(rootKey, { storeId, label, createdAt })
      store.createSeal({ storeId, createdAt, check: checkOf(rootKey, storeId, createdAt) }, slots)
      const seal = new Seal(storeId, store.recordForm, store.readSeal()?.slots[0]?.slotId)
      seal.learn(FIRST_GENERATION, rootKey)
      return seal
    } finally {
      rootKey.destroy()
    }
  }

  /**
   * @param secret - wiped, whatever happens.
   * @throws {@link WrongPassphraseError}, {@link WrongKeyFileError}
   * @throws {@link SealDamagedError} if the slot holds another root key than the store was made with.
   */
  static open(store: SealStore, secret: Secret): Seal {
    let rootKey: RootKey | undefined
    let oldKey: RootKey | undefined
    try {
      const stored = store.readSeal()
      if (stored === undefined)
        throw new SealOpenError('the store has not been set up: it has no root key yet')
      const { storeId, rootGeneration } = stored.facts
      const opened = openSlots(stored.slots, secret, storeId)
      rootKey = opened.rootKey
      assertRootKeyOf(stored.facts, rootKey)
      const seal = new Seal(storeId, store.recordForm, opened.slot.slotId)
      seal.learn(rootGeneration, rootKey)
      if (stored.oldRoot !== undefined) {
        const { generation, sealed } = stored.oldRoot
        oldKey = unsealOldRoot(rootKey.subkey('latchkey/old-root/v1'), storeId, generation, sealed)
        seal.learn(generation, oldKey)
      }
      return seal
    } finally {
      rootKey?.destroy()
      oldKey?.destroy()
      wipe(secret)
    }
  }

  /** 16 bytes. */
  get storeId(): Uint8Array {
    return this.#storeId
  }

  /** Rows may be sealed under this root key from now on. */
  learn(generation: number, rootKey: RootKey): void {
    this.#subkeys.set(generation, {
      sealing: rootKey.subkey('latchkey/seal/v1'),
      fileMac: rootKey.subkey('latchkey/file-record/v1'),
      rowMac: rootKey.subkey('latchkey/row-mac/v1'),
      journal: rootKey.subkey('latchkey/journal-key/v1'),
    })
  }

  /** As {@link Seal.learn}, in a process that only reads the store. The bytes are wiped. */
  learnToRead(keys: ReadingKeys): void {
    const { generation, sealing, fileMac, rowMac } = keys
    this.#subkeys.set(generation, {
      sealing: createSecretKey(sealing),
      fileMac: createSecretKey(fileMac),
      rowMac: createSecretKey(rowMac),
      journal: undefined,
    })
    wipeReadingKeys(keys)
  }

  /** No row is sealed under this root key any more. */
  forget(generation: number): void {
    this.#subkeys.delete(generation)
  }

  /** Whether rows of this root key can be unsealed. */
  knows(generation: number): boolean {
    return this.#find(generation) !== undefined
  }

  /**
   * @param generation - the number of the root key: for a new key, the store's.
   * @param material - copied; the caller wipes its own.
   */
  sealKey(generation: number, facts: KeyFacts, material: KeyMaterial): SealedRecord {
    const { fileMac, sealing } = this.#keysOf(generation)
    return this.#recordForm === 'kes'
      ? sealKeyFile(fileMac, this.#storeId, facts, material)
      : sealKey(sealing, this.#storeId, facts, material)
  }

  /**
   * Does not look at the row's MAC; see {@link Seal.isAuthentic}.
   *
   * @returns 32 bytes each, which the caller wipes.
   * @throws {@link RecordDamagedError} (502)
   */
  unsealKey(row: KeyFacts & Pick<KeyRow, 'sealed' | 'rootGeneration'>): KeyMaterial {
    const keys = this.#find(row.rootGeneration)
    if (keys === undefined) {
      const detail = `the record of key '${row.name}' is sealed under root key ${row.rootGeneration}, which is gone`
      throw new RecordDamagedError('read key', { detail })
    }
    return this.#recordForm === 'kes'
      ? unsealKeyFile(keys.fileMac, this.#storeId, row, row.sealed)
      : unsealKey(keys.sealing, this.#storeId, row, row.sealed)
  }

  /**
   * The record of a key that is in the store's folder already. Only for a store whose records have KES's form.
   *
   * @param value - the content of the key's file, of which `facts` were read.
   */
  adoptKeyFile(generation: number, facts: KeyFacts, value: Uint8Array): SealedRecord {
    assert.equal(this.#recordForm, 'kes')
    return authenticateKeyFile(this.#keysOf(generation).fileMac, this.#storeId, facts, value)
  }

  /**
   * The record of a row under another root key.
   *
   * @throws {@link RecordDamagedError} (502) if it does not open under its own.
   */
  resealKey(generation: number, row: KeyFacts & Pick<KeyRow, 'sealed' | 'rootGeneration'>): SealedRecord {
    const material = this.unsealKey(row)
    try {
      // The file of a key stays as it is, byte for byte.
      return this.#recordForm === 'kes'
        ? this.adoptKeyFile(generation, row, row.sealed.subarray(KEY_FILE_MARK_BYTES))
        : this.sealKey(generation, row, material)
    } finally {
      material.secretKey.fill(0)
      material.hmacKey?.fill(0)
    }
  }

  /** @returns 32 bytes. */
  macOfRow(row: KeyRowFacts): Uint8Array {
    return macOfRow(this.#keysOf(row.rootGeneration).rowMac, this.#storeId, row)
  }

  /** Whether this store wrote the row as it stands, but for its sealed bytes, which authenticate themselves. */
  isAuthentic(row: Omit<KeyRow, 'sealed'>): boolean {
    const keys = this.#find(row.rootGeneration)
    return keys !== undefined && verifyRow(keys.rowMac, this.#storeId, row)
  }

  /** @returns 32 bytes. */
  macOfErased(erased: ErasedNameFacts): Uint8Array {
    return macOfErased(this.#keysOf(erased.rootGeneration).rowMac, this.#storeId, erased)
  }

  isAuthenticErased(erased: ErasedName): boolean {
    const keys = this.#find(erased.rootGeneration)
    return keys !== undefined && verifyErased(keys.rowMac, this.#storeId, erased)
  }

  /** @returns 32 bytes. */
  macOfRunningTime(generation: number, time: RunningTimeFacts): Uint8Array {
    return macOfRunningTime(this.#keysOf(generation).rowMac, this.#storeId, time)
  }

  /** @param generation - the number of the store's root key: no other one seals it. */
  isAuthenticRunningTime(generation: number, time: StoredRunningTime): boolean {
    return isSameMac(time.mac, this.macOfRunningTime(generation, time))
  }

  /** @param privateKey - Ed25519. */
  sealJournalKey(generation: number, privateKey: KeyObject): Uint8Array {
    return sealJournalKey(this.#journalKeyOf(generation), this.#storeId, privateKey)
  }

  /** @throws {@link SealDamagedError} if it was sealed for another store, or a bit changed. */
  unsealJournalKey(generation: number, sealed: Uint8Array): KeyObject {
    return unsealJournalKey(this.#journalKeyOf(generation), this.#storeId, sealed)
  }

  /** Drops the derived keys; the seal can't be used afterwards. */
  destroy(): void {
    this.#subkeys.clear()
    this.#isDestroyed = true
  }

  #find(generation: number): Subkeys | undefined {
    assert(!this.#isDestroyed, 'the seal is used after it was destroyed')
    return this.#subkeys.get(generation)
  }

  #journalKeyOf(generation: number): KeyObject {
    const { journal } = this.#keysOf(generation)
    assert(journal, 'only the process that writes has the key of the journal')
    return journal
  }

  #keysOf(generation: number): Subkeys {
    const keys = this.#find(generation)
    assert(keys, `the seal has no root key ${generation}`)
    return keys
  }
}

/** @throws {@link SealDamagedError} if it is the root key of another store. */
export function assertRootKeyOf({ storeId, createdAt, check }: StoreFacts, rootKey: RootKey): void {
  if (isSameMac(check, checkOf(rootKey, storeId, createdAt))) return
  throw new SealDamagedError('the store is damaged: its slot holds the root key of another store')
}

/** By this a root key is known to be the store's, also while the store holds no key. */
export function checkOf(rootKey: RootKey, storeId: Uint8Array, createdAt: string): Buffer {
  return createHmac('sha256', rootKey.subkey('latchkey/store-check/v1'))
    .update(frame('latchkey store v1', storeId, createdAt))
    .digest()
}

export function wipeReadingKeys({ sealing, fileMac, rowMac }: ReadingKeys): void {
  for (const bytes of [sealing, fileMac, rowMac]) bytes.fill(0)
}

/** Whoever held the secret has no more use for it. */
export function wipe(secret: Secret): void {
  if (secret.kind === 'passphrase') secret.passphrase.fill(0)
  else secret.bytes.fill(0)
}
