/**
 * Changes of the seal: slots are added, removed and get another passphrase, and the root key is replaced.
 *
 * Each change is one transaction with its entry in the journal. The root key is not kept between them: a call brings
 * a secret that opens a slot. Stretching a passphrase takes its time beside other requests, so what a change rests on
 * is read again inside its transaction.
 */
import assert from 'node:assert/strict'
import { now } from '../encoding/timestamp.ts'
import { InvalidSecretError, SealConflictError, SlotNotFoundError, WrongSecretError } from '../errors.ts'
import type { Detail } from '../journal/entry.ts'
import { type Actor, type Journal, NO_KEY } from '../journal/journal.ts'
import { sealOldRoot } from '../seal/old-root.ts'
import { RootKey } from '../seal/root-key.ts'
import { assertRootKeyOf, checkOf, type PassphraseCost, type Seal, type Secret, wipe } from '../seal/seal.ts'
import { SealOpenError, UnfitSecretError } from '../seal/seal-errors.ts'
import {
  boxOf,
  createSlotAside,
  describeSlot,
  findSlot,
  SLOTS_MAX,
  type SlotDescription,
} from '../seal/slots.ts'
import type { KeyStore } from '../store/key-store.ts'
import type { NewSlot, SealChanges, SlotRow, StoredSeal } from '../store/seal-store.ts'
import { isReplaced, RootRotation, type RotationProgress, type RotationResult } from './root-rotation.ts'
import { unlessDamaged } from './unless-damaged.ts'

export type { Secret }

/** Every process that unseals keys. */
export interface RootHolders {
  /** Fulfilled when each of them can unseal rows of this root key; before there are any. */
  learn(generation: number, rootKey: RootKey): Promise<void>
  /** No row needs this root key any more, or there never was one. */
  forget(generation: number): Promise<void>
}

/** This process alone. */
export function onlyHolder(seal: Seal): RootHolders {
  return {
    learn: async (generation, rootKey) => seal.learn(generation, rootKey),
    forget: async (generation) => seal.forget(generation),
  }
}

export interface SealAdminOptions {
  readonly store: KeyStore & SealChanges
  readonly seal: Seal
  readonly journal: Journal
  readonly holders: RootHolders
  /** Of new passphrases. */
  readonly cost: PassphraseCost
  /** The secret that the config names, read anew; it is wiped. */
  readonly ownSecret: () => Secret
  /** What entries say beside the actor. */
  readonly detail?: Detail
}

export interface SealDescription {
  readonly slots: readonly (SlotDescription & { readonly isOwn: boolean })[]
  readonly rootGeneration: number
  readonly rotation: RotationProgress | undefined
}

export interface SlotChange {
  readonly slotId: number
  /** Whether no file of the store holds what the slot was before. If not, the store goes on removing it. */
  readonly isErased: boolean
}

/** What becomes of the slots when the root key is replaced. */
export interface RotationSlots {
  /** Opens the slot of this id; the slot is kept. Wiped. */
  readonly secrets: ReadonlyMap<number, Secret>
  readonly removed: readonly number[]
}

export class SealAdmin {
  readonly #options: SealAdminOptions
  /** The slot that opens the store at the next start, as far as is known. */
  readonly #ownSlot: number | undefined
  #rotation: RootRotation | undefined
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: SealAdminOptions) {
    this.#options = options
    this.#ownSlot = options.seal.ownSlot
  }

  describe(): SealDescription {
    const { facts, slots } = this.#read()
    return {
      slots: slots.map((slot) => ({ ...describeSlot(slot), isOwn: slot.slotId === this.#ownSlot })),
      rootGeneration: facts.rootGeneration,
      rotation: this.#rotation?.progress,
    }
  }

  /**
   * @param unlock - opens one of the slots. Both secrets are wiped.
   * @throws {@link WrongSecretError} (403), {@link InvalidSecretError} (400), {@link SealConflictError} (409)
   */
  addSlot(unlock: Secret, secret: Secret, label: string, by: Actor): Promise<SlotChange> {
    return this.#change([unlock, secret], async (seal) => {
      if (seal.slots.length >= SLOTS_MAX)
        throw new SealConflictError(`the store has ${SLOTS_MAX} slots already`)
      const slot = await this.#withRootKey(seal, unlock, ({ rootKey }) =>
        this.#makeSlot(seal, rootKey, secret, label),
      )
      const slotId = await this.#commit(seal, () => {
        const id = this.#options.store.insertSlot(slot)
        this.#record('add slot', by, { slot: id, kind: secret.kind, label })
        return id
      })
      return { slotId, isErased: true }
    })
  }

  /** @throws {@link SlotNotFoundError} (404), {@link SealConflictError} (409) */
  removeSlot(slotId: number, by: Actor): Promise<SlotChange> {
    return this.#change([], async (seal) => {
      const slot = findById(seal, slotId)
      if (seal.slots.length === 1) throw new SealConflictError(`slot ${slotId} is the last one`)
      if (slotId === this.#ownSlot) {
        throw new SealConflictError(`slot ${slotId} is the one that the server's own configuration opens`)
      }
      await this.#commit(seal, () => this.#removeSlot(slot, by))
      return { slotId, isErased: await isReplaced(this.#options.store) }
    })
  }

  /**
   * Another passphrase in the place of one that opens a slot.
   *
   * @param passphrase - the one before. Both are wiped.
   * @throws {@link WrongSecretError} (403), {@link InvalidSecretError} (400), {@link SealConflictError} (409)
   */
  changePassphrase(passphrase: Uint8Array, next: Uint8Array, by: Actor): Promise<SlotChange> {
    const secret: Secret = { kind: 'passphrase', passphrase: next }
    const unlock: Secret = { kind: 'passphrase', passphrase }
    return this.#change([unlock, secret], async (seal) => {
      const [before, after] = await this.#withRootKey(seal, unlock, async ({ slot, rootKey }) => {
        return [slot, await this.#makeSlot(seal, rootKey, secret, slot.label)] as const
      })
      const { slotId } = before
      await this.#commit(seal, () => {
        this.#options.store.replaceSlot({ ...after, slotId }, boxOf(before.record))
        const facts = { slot: slotId, kind: secret.kind, label: after.label }
        this.#record('remove slot', by, facts)
        this.#record('add slot', by, facts)
      })
      return { slotId, isErased: await isReplaced(this.#options.store) }
    })
  }

  /**
   * Puts a new root key in place. Resealing the rows is left to {@link SealAdmin.finishRotation}.
   *
   * @throws {@link WrongSecretError} (403), {@link InvalidSecretError} (400) if a slot is neither kept nor removed,
   *   {@link SlotNotFoundError} (404), {@link SealConflictError} (409) if a rotation is under way
   */
  beginRotation({ secrets, removed }: RotationSlots, by: Actor): Promise<void> {
    return this.#change([...secrets.values()], async (seal) => {
      if (seal.oldRoot !== undefined) throw new SealConflictError('the root key is being replaced already')
      for (const id of [...secrets.keys(), ...removed]) findById(seal, id)
      const isRemoved = (slot: SlotRow) => removed.includes(slot.slotId)
      const kept = seal.slots.filter((slot) => !isRemoved(slot))
      if (kept.length === 0) throw new SealConflictError('no slot would be left')
      if (removed.some((id) => id === this.#ownSlot)) {
        throw new SealConflictError(
          `slot ${this.#ownSlot} is the one that the server's own configuration opens`,
        )
      }
      const rootKey = RootKey.generate()
      let oldKey: RootKey | undefined
      try {
        const slots: SlotRow[] = []
        for (const { slotId, label } of kept) {
          const secret = secrets.get(slotId) ?? this.#ownSecretOf(slotId)
          const opened = await findSlot([findById(seal, slotId)], secret, seal.facts.storeId)
          if (opened === undefined) throw new WrongSecretError(`the secret does not open slot ${slotId}`)
          oldKey?.destroy()
          oldKey = opened.rootKey
          assertRootKeyOf(seal.facts, oldKey)
          slots.push({ ...(await this.#makeSlot(seal, rootKey, secret, label)), slotId })
          wipe(secret)
        }
        assert(oldKey !== undefined)
        await this.#replaceRoot(seal, { oldKey, rootKey, slots, removed: seal.slots.filter(isRemoved) }, by)
      } finally {
        rootKey.destroy()
        oldKey?.destroy()
      }
    })
  }

  /**
   * Goes on with the rotation that the store is in.
   *
   * @returns undefined if there is none, or the signal ended the work before its end.
   */
  async finishRotation(
    signal: AbortSignal,
    onProgress?: (progress: RotationProgress) => void,
  ): Promise<RotationResult | undefined> {
    const { store, seal, holders } = this.#options
    this.#rotation = RootRotation.underWay(store, seal)
    try {
      return await this.#rotation?.run((generation) => holders.forget(generation), signal, onProgress)
    } finally {
      this.#rotation = undefined
    }
  }

  async #replaceRoot(
    seal: StoredSeal,
    next: { oldKey: RootKey; rootKey: RootKey; slots: SlotRow[]; removed: SlotRow[] },
    by: Actor,
  ): Promise<void> {
    const { store, holders } = this.#options
    const { storeId, createdAt, rootGeneration: generation } = seal.facts
    await holders.learn(generation + 1, next.rootKey)
    try {
      await this.#commit(seal, () => {
        for (const slot of next.slots) store.replaceSlot(slot, boxOf(findById(seal, slot.slotId).record))
        for (const slot of next.removed) this.#removeSlot(slot, by)
        const oldKey = sealOldRoot(
          next.rootKey.subkey('latchkey/old-root/v1'),
          storeId,
          generation,
          next.oldKey,
        )
        store.replaceRoot({
          check: checkOf(next.rootKey, storeId, createdAt),
          oldRoot: { generation, sealed: oldKey },
          journalKey: this.#resealJournalKey(generation),
        })
        this.#resealRunningTime(generation)
        const slots = next.slots.map(({ slotId }) => slotId).join(',')
        this.#record('new root key', by, { generation: generation + 1, slots })
      })
    } catch (error) {
      // A commit that failed may have happened all the same.
      if (store.rootGeneration() === generation) await holders.forget(generation + 1)
      throw error
    }
  }

  #resealJournalKey(generation: number): Uint8Array {
    const { store, seal } = this.#options
    const sealed = store.journalKey()
    assert(sealed !== undefined)
    return seal.sealJournalKey(generation + 1, seal.unsealJournalKey(generation, sealed))
  }

  /** By which the waiting period of keys is measured. */
  #resealRunningTime(generation: number): void {
    const { store, seal } = this.#options
    const time = unlessDamaged(() => store.runningTime())
    if (time === undefined || !seal.isAuthenticRunningTime(generation, time)) return
    store.setRunningTime({ ...time, mac: seal.macOfRunningTime(generation + 1, time) })
  }

  #ownSecretOf(slotId: number): Secret {
    if (slotId === this.#ownSlot) return asInvalidSecret(this.#options.ownSecret)
    throw new InvalidSecretError(`slot ${slotId} needs its secret, or must be removed`)
  }

  async #makeSlot(seal: StoredSeal, rootKey: RootKey, secret: Secret, label: string): Promise<NewSlot> {
    const facts = { storeId: seal.facts.storeId, label, createdAt: now() }
    try {
      return await createSlotAside(rootKey, secret, this.#options.cost, facts)
    } catch (error) {
      throw error instanceof SealOpenError ? new InvalidSecretError(error.message, { cause: error }) : error
    }
  }

  async #withRootKey<T>(
    seal: StoredSeal,
    unlock: Secret,
    use: (opened: { slot: SlotRow; rootKey: RootKey }) => Promise<T>,
  ): Promise<T> {
    const opened = await findSlot(seal.slots, unlock, seal.facts.storeId)
    if (opened === undefined) throw new WrongSecretError(`the ${unlock.kind} opens no slot of this store`)
    try {
      assertRootKeyOf(seal.facts, opened.rootKey)
      return await use(opened)
    } finally {
      opened.rootKey.destroy()
    }
  }

  #removeSlot(slot: SlotRow, by: Actor): void {
    this.#options.store.removeSlot(slot.slotId, boxOf(slot.record))
    const { kind, label } = describeSlot(slot)
    this.#record('remove slot', by, { slot: slot.slotId, kind, label })
  }

  /** One change at a time, with the seal as it is at its begin. The secrets are wiped at its end. */
  #change<T>(secrets: readonly Secret[], change: (seal: StoredSeal) => Promise<T>): Promise<T> {
    const changing = this.#changing.then(async () => {
      try {
        return await change(this.#read())
      } finally {
        for (const secret of secrets) wipe(secret)
      }
    })
    this.#changing = changing.catch(() => {}) // The caller has the error; the next change does not depend on it.
    return changing
  }

  /** @throws {@link SealConflictError} (409) if the slots are not as they were when the change began. */
  async #commit<T>(seal: StoredSeal, write: () => T): Promise<T> {
    await this.#options.store.whenWritable('change seal')
    return this.#options.store.transaction(() => {
      const found = this.#read()
      const isSame =
        found.facts.rootGeneration === seal.facts.rootGeneration &&
        found.slots.length === seal.slots.length &&
        found.slots.every(
          (slot, index) => Buffer.compare(slot.record, seal.slots[index]?.record ?? Buffer.of()) === 0,
        )
      if (!isSame) throw new SealConflictError('the slots were changed meanwhile')
      return write()
    }, 'change seal')
  }

  #record(
    action: 'add slot' | 'remove slot' | 'new root key',
    { identity, ip }: Actor,
    detail: Detail,
  ): void {
    this.#options.journal.append({
      ...NO_KEY,
      time: now(),
      action,
      identity,
      ip,
      detail: { ...detail, ...this.#options.detail },
    })
  }

  #read(): StoredSeal {
    const seal = this.#options.store.readSeal()
    assert(seal !== undefined, 'the store has a seal')
    return seal
  }
}

function findById({ slots }: StoredSeal, slotId: number): SlotRow {
  const slot = slots.find((each) => each.slotId === slotId)
  if (slot === undefined) throw new SlotNotFoundError(slotId)
  return slot
}

function asInvalidSecret(read: () => Secret): Secret {
  try {
    return read()
  } catch (error) {
    throw error instanceof UnfitSecretError ? new InvalidSecretError(error.message, { cause: error }) : error
  }
}
