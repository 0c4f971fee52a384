/**
 * Puts a new root key in the place of the one before, row by row, while the store is in use.
 *
 * The new root key takes over in one transaction: slots, journal key, and the old root key sealed under it. From then
 * on new rows are sealed under it, and each older row says by its number that it is not yet. A killed process leaves
 * it at that: the next one goes on. When no row needs the old root key any more it is dropped, and what held it is
 * removed from the disk.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ErasePendingError } from '../errors.ts'
import type { KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import { boxOf } from '../seal/slots.ts'
import type { KeyStore } from '../store/key-store.ts'
import type { OldRoot, SealChanges } from '../store/seal-store.ts'
import { unlessDamaged } from './unless-damaged.ts'

/** In one transaction, and one turn of the event loop: about 5 ms. */
const BATCH_ROWS = 100
/** The MAC of no row. */
const NO_MAC = new Uint8Array(32)
/** Between two batches, so that requests get their turns. */
const PAUSE_MS = 1

export interface RotationProgress {
  /** Rows that were sealed under the old root key when the rotation, or this process, began. */
  readonly total: number
  readonly done: number
}

/** What a rotation leaves behind. */
export interface RotationResult {
  readonly resealed: number
  /** Rows that neither root key opens: they stay as they are, and refused. */
  readonly damaged: number
  /** Whether no file of the store holds the old root key any more. If not, the store goes on removing it. */
  readonly isErased: boolean
}

export class RootRotation {
  readonly #store: KeyStore & SealChanges
  readonly #seal: Seal
  readonly #old: OldRoot
  readonly #generation: number
  readonly #total: number
  #resealed = 0
  #damaged = 0

  private constructor(store: KeyStore & SealChanges, seal: Seal, old: OldRoot) {
    this.#store = store
    this.#seal = seal
    this.#old = old
    this.#generation = store.rootGeneration()
    this.#total = store.countOfOldRoot()
  }

  /** The rotation that the store is in; undefined if it is in none. */
  static underWay(store: KeyStore & SealChanges, seal: Seal): RootRotation | undefined {
    const old = store.readSeal()?.oldRoot
    return old && new RootRotation(store, seal, old)
  }

  get progress(): RotationProgress {
    return { total: this.#total, done: Math.min(this.#total, this.#resealed + this.#damaged) }
  }

  /**
   * Goes on to the end.
   *
   * @param forget - called when no row needs the old root key any more, with its number.
   * @param signal - ends the work between two batches; what was done stays done.
   * @returns undefined if the signal ended it.
   */
  async run(
    forget: (generation: number) => Promise<void>,
    signal: AbortSignal,
    onProgress: (progress: RotationProgress) => void = () => {},
  ): Promise<RotationResult | undefined> {
    for (const kind of ['keys', 'erased'] as const) {
      for (let after: number | undefined = 0; after !== undefined; ) {
        await this.#store.whenWritable('change seal')
        if (signal.aborted) return undefined
        after = this.#resealBatch(kind, after)
        onProgress(this.progress)
        await delay(PAUSE_MS)
      }
    }
    await this.#store.whenWritable('change seal')
    if (signal.aborted) return undefined
    this.#store.transaction(() => this.#store.dropOldRoot(boxOf(this.#old.sealed)), 'change seal')
    await forget(this.#old.generation)
    return { resealed: this.#resealed, damaged: this.#damaged, isErased: await isReplaced(this.#store) }
  }

  /** @returns the last row of the batch; undefined if there is none. */
  #resealBatch(kind: 'keys' | 'erased', after: number): number | undefined {
    return this.#store.transaction(() => {
      const places =
        kind === 'keys'
          ? this.#store.keysOfOldRoot(after, BATCH_ROWS)
          : this.#store.erasedOfOldRoot(after, BATCH_ROWS)
      for (const { name } of places) {
        const isResealed = kind === 'keys' ? this.#resealKey(name) : this.#resealErased(name)
        if (isResealed) this.#resealed += 1
        else this.#damaged += 1
      }
      return places.at(-1)?.id
    }, 'change seal')
  }

  #resealKey(name: KeyName): boolean {
    const row = unlessDamaged(() => this.#store.read(name))
    if (row === undefined) return false
    const isAuthentic = this.#seal.isAuthentic(row)
    const sealed = unlessDamaged(() => this.#seal.resealKey(this.#generation, row))
    // Nothing in such a row is known to be ours.
    if (sealed === undefined && !isAuthentic) return false
    const next = { ...row, sealed: sealed ?? row.sealed, rootGeneration: this.#generation }
    // A row that was edited stays refused; its record is resealed, so that the key is not lost with the old root key.
    this.#store.replace({ ...next, mac: isAuthentic ? this.#seal.macOfRow(next) : NO_MAC }, row.revision)
    return true
  }

  #resealErased(name: KeyName): boolean {
    const erased = unlessDamaged(() => this.#store.readErased(name))
    if (erased === undefined || !this.#seal.isAuthenticErased(erased)) return false
    const next = { ...erased, rootGeneration: this.#generation }
    this.#store.replaceErased({ ...next, mac: this.#seal.macOfErased(next) })
    return true
  }
}

/** Whether no file of the store holds a secret of the seal that was replaced. */
export async function isReplaced(store: SealChanges): Promise<boolean> {
  try {
    await store.finishReplacement()
    return true
  } catch (error) {
    if (error instanceof ErasePendingError) return false
    throw error
  }
}
