/**
 * Copies keys from one store to another, with their HMAC keys, dates, creators and states, and reads each back.
 *
 * A batch of keys is one transaction of the target, so a migration that is cut off leaves whole keys. The next one finds
 * them there, sees that they are the same, and goes on with the rest.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { now } from '../encoding/timestamp.ts'
import type { KeyName } from '../names.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import { KeyRing } from './key-ring.ts'
import { assertStored, isSameKey, readKey, type TransferredKey, wipeKey, writeKey } from './key-transfer.ts'
import type { ErasedKey, MigrationSource } from './migration-source.ts'
import { BY_OPERATOR, OPERATOR, type UnsealedStore } from './recorded-row.ts'
import { unlessDamaged } from './unless-damaged.ts'

const BATCH_KEYS = 500

export interface MigrationTarget extends UnsealedStore {
  readonly store: SqliteStore
}

export interface MigrationOptions {
  /** Which names are copied. */
  readonly isChosen: (name: string) => boolean
  /** What is done where the target has another key, or has reserved the name. */
  readonly onConflict: 'stop' | 'skip' | 'replace'
  /** Whether the target reserves the names that the source has reserved. */
  readonly erasedNames: 'reserved' | 'free'
  readonly isDryRun: boolean
  /** Called after each batch. */
  readonly onProgress: (done: number, total: number) => void
  readonly interruption: AbortSignal
}

export interface MigrationResult {
  migrated: number
  /** Keys that the target had already, the very same. */
  present: number
  /** Names of erased keys that the target reserves from now on. */
  reserved: number
  /** Names that the target has for another key, or has reserved; both stayed. */
  readonly skipped: KeyName[]
  /** Keys that were pending deletion, and are disabled in the target. */
  readonly pending: KeyName[]
  /** Keys that the source can't read. */
  readonly damaged: KeyName[]
}

/** The target has other keys under these names, or has reserved them. Nothing was written. */
export class MigrationConflictError extends Error {
  override readonly name = 'MigrationConflictError'
  readonly names: readonly KeyName[]
  constructor(names: readonly KeyName[]) {
    super('key already exists')
    this.names = names
  }
}

/**
 * @param target - undefined for a dry run into a store that is not there yet.
 * @throws {@link MigrationConflictError}; the signal's reason, between two batches; what the stores throw.
 */
export async function migrateKeys(
  source: MigrationSource,
  target: MigrationTarget | undefined,
  options: MigrationOptions,
): Promise<MigrationResult> {
  const { onConflict, isDryRun, isChosen, interruption } = options
  const result: MigrationResult = {
    migrated: 0,
    present: 0,
    reserved: 0,
    skipped: [],
    pending: [],
    damaged: [],
  }
  const names = source.names().filter(isChosen)
  if (target !== undefined && onConflict === 'stop') assertNoConflict(source, target, names)
  for (let start = 0; start < names.length; start += BATCH_KEYS) {
    interruption.throwIfAborted()
    const keys = readBatch(source, names.slice(start, start + BATCH_KEYS), result.damaged)
    try {
      const chosen = keys.filter((key) => {
        const found = target === undefined ? 'nothing' : whatTargetHas(target, key)
        if (found === 'same') result.present += 1
        if (found === 'other' && onConflict === 'skip') result.skipped.push(key.name)
        return found === 'nothing' || (found === 'other' && onConflict === 'replace')
      })
      if (target !== undefined && !isDryRun) await writeBatch(source, target, chosen)
      result.migrated += chosen.length
      result.pending.push(...chosen.filter(({ state }) => state === 'pending').map(({ name }) => name))
    } finally {
      for (const key of keys) wipeKey(key)
    }
    options.onProgress(Math.min(names.length, start + BATCH_KEYS), names.length)
    await nextTurn()
  }
  if (options.erasedNames === 'reserved') {
    const erased = [...source.erased()].filter(({ name }) => isChosen(name))
    result.reserved = reserveNames(source, target, erased, isDryRun)
  }
  return result
}

function assertNoConflict(source: MigrationSource, target: MigrationTarget, names: readonly KeyName[]): void {
  const { store } = target
  const conflicts = names.filter((name) => {
    if (!store.has(name)) return store.readErased(name) !== undefined
    const key = unlessDamaged(() => source.read(name))
    if (key === undefined) return false
    const found = whatTargetHas(target, key)
    wipeKey(key)
    return found === 'other'
  })
  if (conflicts.length > 0) throw new MigrationConflictError(conflicts)
}

function whatTargetHas(target: MigrationTarget, key: TransferredKey): 'nothing' | 'same' | 'other' {
  const { store } = target
  if (!store.has(key.name)) return store.readErased(key.name) === undefined ? 'nothing' : 'other'
  const found = unlessDamaged(() => readKey(target, key.name))
  if (found === undefined) return 'other'
  const isSame = isSameKey(found, key)
  wipeKey(found)
  return isSame ? 'same' : 'other'
}

function readBatch(source: MigrationSource, names: readonly KeyName[], damaged: KeyName[]): TransferredKey[] {
  return names.flatMap((name) => {
    const key = unlessDamaged(() => source.read(name))
    if (key === undefined) damaged.push(name)
    return key ?? []
  })
}

/** What stands in a key's way is erased first, as `kes key rm` would, and its name freed. */
async function writeBatch(
  source: MigrationSource,
  target: MigrationTarget,
  keys: readonly TransferredKey[],
): Promise<void> {
  const { store, seal, journal } = target
  const ring = new KeyRing(store, seal, journal, { erasedNames: 'free' })
  for (const { name } of keys) if (store.has(name)) await ring.erase(name, OPERATOR)
  store.transaction(() => {
    for (const key of keys) {
      store.dropErased(key.name)
      writeKey(target, key, 'adopt', { migrated_from: source.label })
    }
  }, 'create key')
  for (const key of keys) assertStored(target, key)
}

function reserveNames(
  source: MigrationSource,
  target: MigrationTarget | undefined,
  erased: readonly ErasedKey[],
  isDryRun: boolean,
): number {
  if (target === undefined) return erased.length
  const { store, seal, journal } = target
  const missing = erased.filter(({ name }) => !store.has(name) && store.readErased(name) === undefined)
  if (isDryRun || missing.length === 0) return missing.length
  store.transaction(() => {
    for (const { name, keyId, erasedAt, erasedBy, ...proven } of missing) {
      const key = { ...proven, name, keyId, state: 'erased', revision: 0 } as const
      const detail = { migrated_from: source.label, ...BY_OPERATOR }
      journal.append({ ...OPERATOR, ...key, time: now(), action: 'adopt', detail })
      const tombstone = { name, keyId, erasedAt, erasedBy, rootGeneration: store.rootGeneration() }
      store.replaceErased({ ...tombstone, mac: seal.macOfErased(tombstone) })
    }
  }, 'create key')
  return missing.length
}
