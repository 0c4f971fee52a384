/** Opens the key store that the config names, and unseals it; sets up a new one. */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type {
  Argon2Config,
  FsKeystore,
  KeystoreConfig,
  SqliteKeystore,
  UnsealConfig,
} from './config/keystore-config.ts'
import { assertStoreSupported } from './config/supported-stores.ts'
import { StoreError } from './errors.ts'
import type { Journal } from './journal/journal.ts'
import { exportPublicKey } from './journal/public-key-file.ts'
import { adoptFiles } from './keyring/adopt-files.ts'
import { describeFindings } from './keyring/folder-findings.ts'
import { openJournal } from './keyring/open-journal.ts'
import { createKeyFile, readKeyFile } from './seal/key-file.ts'
import { DEFAULT_COST, type PassphraseCost } from './seal/passphrase-cost.ts'
import { readPassphraseFile } from './seal/passphrase-file.ts'
import { Seal, type Secret } from './seal/seal.ts'
import { UnfitSecretError } from './seal/seal-errors.ts'
import { assertFitPassphrase } from './seal/slots.ts'
import { IN_MEMORY } from './store/connection.ts'
import { FsStore } from './store/fs-store.ts'
import { KeyFolder } from './store/key-folder.ts'
import { asStartError, StoreOpenError } from './store/open-errors.ts'
import { SqliteStore, type SqliteStoreOptions } from './store/sqlite-store.ts'
import { draftOf } from './store/store-place.ts'

export { readKeyFile }

export interface OpenStore {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  /** Of new passphrases. */
  readonly cost: PassphraseCost
  /** The secret that the config names, read anew. Its bytes are wiped by whoever takes it. */
  readonly ownSecret: () => Secret
  /** As the banner names it. */
  readonly label: string
  /** Sentences for the operator: what all is well with, and what is to be seen to. */
  readonly facts: readonly string[]
  readonly warnings: readonly string[]
}

const PLAIN_KEYS =
  "the keys of an 'fs' store lie in the clear on the disk, as the Go KES keeps them: a store of type 'sqlite' seals them"

/**
 * @param spendReserve - gives disk space back for a lock or an erasure that finds the disk full; false if there is none.
 * @throws StoreOpenError, SealOpenError, UnsupportedStoreError: each with one line for the operator.
 */
export function openStore(config: KeystoreConfig, spendReserve?: () => boolean): OpenStore {
  if (config.type === 'memory') {
    const store = SqliteStore.inMemory()
    const seal = Seal.createInMemory(store)
    const journal = openJournal(store, seal)
    const ownSecret = () => {
      throw new UnfitSecretError('a store in memory has no secret')
    }
    return {
      store,
      seal,
      journal,
      cost: DEFAULT_COST,
      ownSecret,
      label: 'In Memory',
      facts: [],
      warnings: store.warnings,
    }
  }
  assertStoreSupported({ keystore: config })
  if (config.type === 'sqlite') return openSqlite(config, spendReserve)
  if (config.type === 'fs') return openFs(config, spendReserve)
  throw new TypeError(`no opener for the supported store '${config.type}'`)
}

/** Where the store's reserve lies; undefined for a store that has no disk. */
export function reservePathOf({ store }: OpenStore): string | undefined {
  return store.path === IN_MEMORY ? undefined : `${store.path}.reserve`
}

function openSqlite({ path, unseal, argon2 }: SqliteKeystore, spendReserve?: () => boolean): OpenStore {
  const isNew = !existsSync(path)
  const ownSecret = () => readSecret(unseal)
  const unsealed = unsealStore(ownSecret, costOf(argon2), isNew, () =>
    SqliteStore.open(path, optionsOf(spendReserve)),
  )
  const facts = isNew ? [`a new key store was made at '${path}'`] : []
  const draft = draftOf(unsealed.store.path)
  const left = existsSync(draft) ? [`'${draft}' is what a restore has left that was cut off: remove it`] : []
  return { ...unsealed, label: `SQLite: ${path}`, facts, warnings: [...left, ...unsealed.warnings] }
}

/**
 * The folder of the Go KES. Its config names the folder alone, so what stands beside it, and the key file that opens
 * that, are made where nothing else is configured.
 */
function openFs(config: FsKeystore, spendReserve?: () => boolean): OpenStore {
  const { path, databasePath, unseal, argon2 } = config
  const folder = KeyFolder.resolve(path)
  const database = databasePathOf(config)
  const isNew = !existsSync(database)
  if (isNew && databasePath === undefined) assertWritable(dirname(database), path)
  const keyFile = `${database}.key`
  if (isNew && unseal === undefined) createKeyFile(keyFile)
  const ownSecret = () => readSecret(unseal ?? { type: 'key-file', path: keyFile })
  const unsealed = unsealStore(ownSecret, costOf(argon2), isNew, () =>
    FsStore.openFolder(folder, database, optionsOf(spendReserve)),
  )
  const { store, seal, journal } = unsealed
  try {
    const findings = describeFindings(adoptFiles(store, seal, journal), folder)
    const warnings = [PLAIN_KEYS, ...store.folder.warnings, ...unsealed.warnings, ...findings]
    return { ...unsealed, label: `Filesystem: ${path}`, facts: [], warnings }
  } catch (error) {
    store.close()
    if (!(error instanceof StoreError)) throw error
    const text = `the folder of keys '${folder}' can not be read: ${error.detail ?? error.message}`
    throw new StoreOpenError(folder, text, { cause: error })
  }
}

/** Beside the folder of keys, where that really is, or will be made. */
export function databasePathOf({ path, databasePath }: FsKeystore): string {
  return databasePath ?? `${existsSync(path) ? realpathSync(path) : resolve(path)}.latchkey.db`
}

function optionsOf(spendReserve: (() => boolean) | undefined): SqliteStoreOptions {
  return spendReserve === undefined ? {} : { spendReserve }
}

function assertWritable(folder: string, keys: string): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const text =
      `the state of the keys in '${keys}' can not be kept beside that folder: '${folder}' is not writable for this ` +
      'user; set keystore.fs.database to a path on a disk that is kept'
    throw new StoreOpenError(folder, text, { cause })
  }
}

/** Opens a store, and its seal and journal; sets up what is new. Nothing stays open if that fails. */
function unsealStore<Store extends SqliteStore>(
  ownSecret: () => Secret,
  cost: PassphraseCost,
  isNew: boolean,
  open: () => Store,
): Omit<OpenStore, 'label' | 'facts'> & { readonly store: Store } {
  const secret = ownSecret()
  if (isNew && secret.kind === 'passphrase') assertFitPassphrase(secret.passphrase, cost)
  const store = open()
  try {
    const seal = Seal.isSetUp(store) ? Seal.open(store, secret) : Seal.create(store, secret, { cost })
    const journal = openJournal(store, seal)
    const warnings = [...store.warnings, ...exportPublicKey(journal, store.path)]
    return { store, seal, journal, cost, ownSecret, warnings }
  } catch (error) {
    store.close()
    throw asStartError(store.path, error)
  }
}

function costOf(argon2: Argon2Config): PassphraseCost {
  return {
    memoryKiB: Math.ceil(argon2.memoryBytes / 1024),
    passes: argon2.passes,
    parallelism: argon2.parallelism,
  }
}

/** The bytes of the secret are wiped by the seal that takes them. */
export function readSecret(unseal: UnsealConfig): Secret {
  if (unseal.type === 'key-file') return { kind: 'key file', bytes: readKeyFile(unseal.path) }
  const passphrase =
    unseal.type === 'passphrase'
      ? Buffer.from(unseal.passphrase.reveal(), 'utf8')
      : readPassphraseFile(unseal.path)
  return { kind: 'passphrase', passphrase }
}
