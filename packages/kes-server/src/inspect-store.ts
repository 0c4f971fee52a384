/**
 * Looks into a key store that a server may have open, or could not open: nothing is made, migrated or changed, and
 * nothing stays locked.
 */
import { statSync } from 'node:fs'
import type { FsKeystore, SqliteKeystore } from './config/keystore-config.ts'
import { decodeEntry, EntryFormatError } from './journal/entry.ts'
import { messageOf } from './message-of.ts'
import { databasePathOf, readSecret } from './open-store.ts'
import { Seal } from './seal/seal.ts'
import { SealOpenError } from './seal/seal-errors.ts'
import type { StoreCounts } from './store/key-store.ts'
import { asStartError, StoreOpenError } from './store/open-errors.ts'
import { SqliteStore } from './store/sqlite-store.ts'
import { type StoreHolder, StoreLock } from './store/store-lock.ts'

export type DiskKeystore = SqliteKeystore | FsKeystore

/** Of a store as the config names it. */
export interface StorePlace {
  readonly database: string
  /** Whether there is a database yet; a server makes it at its first start. */
  readonly isMade: boolean
}

/** @throws StoreOpenError if it can't be seen whether the store is made: a permission may be missing. */
export function placeOf(config: DiskKeystore): StorePlace {
  try {
    const hasFolder = config.type === 'sqlite' || isThere(config.path)
    const database = config.type === 'sqlite' ? config.path : databasePathOf(config)
    return { database, isMade: hasFolder && isThere(database) }
  } catch (cause) {
    const text = `the store '${config.path}' can not be read: ${messageOf(cause)}`
    throw new StoreOpenError(config.path, text, { cause })
  }
}

/** @throws what `node:fs` does if that can't be seen. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** The server that has the store open. @throws StoreOpenError */
export function holderOf(database: string): StoreHolder | undefined {
  return StoreLock.holderOf(database)
}

/** What keeps the secret that the config names from being used; undefined if nothing does. It is forgotten at once. */
export function problemOfSecret(config: DiskKeystore, { database }: StorePlace): string | undefined {
  return problemOf(() => {
    const secret = readSecret(unsealOf(config, database))
    const bytes = secret.kind === 'key file' ? secret.bytes : secret.passphrase
    bytes.fill(0)
  })
}

export interface StoreContent {
  readonly counts: StoreCounts
  /** Of the last entry of the journal; RFC 3339. */
  readonly lastChangeAt: string | undefined
  /** Why the secret that the config names does not open the store; undefined if it does. */
  readonly sealProblem: string | undefined
  /** Sentences for the operator. */
  readonly warnings: readonly string[]
}

/**
 * Reads a store that is there, and tries to open its seal.
 *
 * @returns undefined if an older server has made it: the next start migrates it.
 * @throws StoreOpenError with one line for the operator.
 */
export function inspectStore(config: DiskKeystore, { database }: StorePlace): StoreContent | undefined {
  const store = SqliteStore.openToLook(database)
  if (store === undefined) return undefined
  try {
    const sealProblem = problemOf(() => Seal.open(store, readSecret(unsealOf(config, database))).destroy())
    return {
      counts: store.counts(),
      lastChangeAt: lastChangeOf(store),
      sealProblem,
      warnings: store.warnings,
    }
  } catch (error) {
    throw asStartError(database, error)
  } finally {
    store.close()
  }
}

function problemOf(open: () => void): string | undefined {
  try {
    open()
    return undefined
  } catch (error) {
    if (error instanceof SealOpenError) return error.message
    throw error
  }
}

function unsealOf({ unseal }: DiskKeystore, database: string) {
  return unseal ?? { type: 'key-file' as const, path: `${database}.key` }
}

function lastChangeOf(store: SqliteStore): string | undefined {
  const last = store.lastEntry()
  try {
    return last && decodeEntry(last.entry).time
  } catch (error) {
    if (!(error instanceof EntryFormatError)) throw error
    return undefined // `kes journal verify` names it.
  }
}
