/** The seal of one open store: seals and unseals its keys, and tells its own rows from edited ones. */
import assert from 'node:assert/strict'
import { createHmac, type KeyObject, randomBytes } from 'node:crypto'
import { now } from '../encoding/timestamp.ts'
import type { ErasedName, KeyRow, StoredRunningTime } from '../store/key-store.ts'
import type { NewSlot, RecordForm, SealStore } from '../store/seal-store.ts'
import { authenticateKeyFile, sealKeyFile, unsealKeyFile } from './file-record.ts'
import { frame } from './frame.ts'
import { sealJournalKey, unsealJournalKey } from './journal-key.ts'
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
import { createKeyFileSlot, createPassphraseSlot, openSlots, type Secret, type SlotFacts } from './slots.ts'

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
  readonly journal: KeyObject
}

export class Seal {
  readonly #storeId: Uint8Array
  readonly #recordForm: RecordForm
  #subkeys: Subkeys | undefined

  private constructor(storeId: Uint8Array, recordForm: RecordForm, rootKey: RootKey) {
    this.#storeId = storeId
    this.#recordForm = recordForm
    this.#subkeys = {
      sealing: rootKey.subkey('latchkey/seal/v1'),
      fileMac: rootKey.subkey('latchkey/file-record/v1'),
      rowMac: rootKey.subkey('latchkey/row-mac/v1'),
      journal: rootKey.subkey('latchkey/journal-key/v1'),
    }
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
        (rootKey, facts) => [firstSlot(rootKey, secret, options.cost, facts)],
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
      return new Seal(storeId, store.recordForm, rootKey)
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
    try {
      const stored = store.readSeal()
      if (stored === undefined)
        throw new SealOpenError('the store has not been set up: it has no root key yet')
      const { storeId, createdAt, check } = stored.facts
      rootKey = openSlots(stored.slots, secret, storeId)
      if (!isSameMac(check, checkOf(rootKey, storeId, createdAt))) {
        throw new SealDamagedError('the store is damaged: its slot holds the root key of another store')
      }
      return new Seal(storeId, store.recordForm, rootKey)
    } finally {
      rootKey?.destroy()
      wipe(secret)
    }
  }

  /** 16 bytes. */
  get storeId(): Uint8Array {
    return this.#storeId
  }

  /** @param material - copied; the caller wipes its own. */
  sealKey(facts: KeyFacts, material: KeyMaterial): SealedRecord {
    if (this.#recordForm === 'kes') return sealKeyFile(this.#keys.fileMac, this.#storeId, facts, material)
    return sealKey(this.#keys.sealing, this.#storeId, facts, material)
  }

  /**
   * Does not look at the row's MAC; see {@link Seal.isAuthentic}.
   *
   * @returns 32 bytes each, which the caller wipes.
   * @throws {@link RecordDamagedError} (502)
   */
  unsealKey(row: KeyFacts & Pick<KeyRow, 'sealed'>): KeyMaterial {
    if (this.#recordForm === 'kes') return unsealKeyFile(this.#keys.fileMac, this.#storeId, row, row.sealed)
    return unsealKey(this.#keys.sealing, this.#storeId, row, row.sealed)
  }

  /**
   * The record of a key that is in the store's folder already. Only for a store whose records have KES's form.
   *
   * @param value - the content of the key's file, of which `facts` were read.
   */
  adoptKeyFile(facts: KeyFacts, value: Uint8Array): SealedRecord {
    assert.equal(this.#recordForm, 'kes')
    return authenticateKeyFile(this.#keys.fileMac, this.#storeId, facts, value)
  }

  /** @returns 32 bytes. */
  macOfRow(row: KeyRowFacts): Uint8Array {
    return macOfRow(this.#keys.rowMac, this.#storeId, row)
  }

  /** Whether this store wrote the row as it stands, but for its sealed bytes, which authenticate themselves. */
  isAuthentic(row: Omit<KeyRow, 'sealed'>): boolean {
    return verifyRow(this.#keys.rowMac, this.#storeId, row)
  }

  /** @returns 32 bytes. */
  macOfErased(erased: ErasedNameFacts): Uint8Array {
    return macOfErased(this.#keys.rowMac, this.#storeId, erased)
  }

  isAuthenticErased(erased: ErasedName): boolean {
    return verifyErased(this.#keys.rowMac, this.#storeId, erased)
  }

  /** @returns 32 bytes. */
  macOfRunningTime(time: RunningTimeFacts): Uint8Array {
    return macOfRunningTime(this.#keys.rowMac, this.#storeId, time)
  }

  isAuthenticRunningTime(time: StoredRunningTime): boolean {
    return isSameMac(time.mac, this.macOfRunningTime(time))
  }

  /** @param privateKey - Ed25519. */
  sealJournalKey(privateKey: KeyObject): Uint8Array {
    return sealJournalKey(this.#keys.journal, this.#storeId, privateKey)
  }

  /** @throws {@link SealDamagedError} if it was sealed for another store, or a bit changed. */
  unsealJournalKey(sealed: Uint8Array): KeyObject {
    return unsealJournalKey(this.#keys.journal, this.#storeId, sealed)
  }

  /** Drops the derived keys; the seal can't be used afterwards. */
  destroy(): void {
    this.#subkeys = undefined
  }

  get #keys(): Subkeys {
    assert(this.#subkeys, 'the seal is used after it was destroyed')
    return this.#subkeys
  }
}

function firstSlot(
  rootKey: RootKey,
  secret: Secret,
  cost: PassphraseCost = DEFAULT_COST,
  facts: SlotFacts,
): NewSlot {
  return secret.kind === 'passphrase'
    ? createPassphraseSlot(rootKey, secret.passphrase, cost, facts)
    : createKeyFileSlot(rootKey, secret.bytes, facts)
}

/** By this a root key is known to be the store's, also while the store holds no key. */
function checkOf(rootKey: RootKey, storeId: Uint8Array, createdAt: string): Buffer {
  return createHmac('sha256', rootKey.subkey('latchkey/store-check/v1'))
    .update(frame('latchkey store v1', storeId, createdAt))
    .digest()
}

function wipe(secret: Secret): void {
  if (secret.kind === 'passphrase') secret.passphrase.fill(0)
  else secret.bytes.fill(0)
}
