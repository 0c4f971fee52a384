/** Opens the key store that the config names, and unseals it; sets up a new one. */
import { existsSync } from 'node:fs'
import type { KeystoreConfig, SqliteKeystore, UnsealConfig } from './config/keystore-config.ts'
import { assertStoreSupported } from './config/supported-stores.ts'
import type { Journal } from './journal/journal.ts'
import { exportPublicKey } from './journal/public-key-file.ts'
import { openJournal } from './keyring/open-journal.ts'
import { readKeyFile } from './seal/key-file.ts'
import { readPassphraseFile } from './seal/passphrase-file.ts'
import { Seal, type Secret } from './seal/seal.ts'
import { assertFitPassphrase } from './seal/slots.ts'
import { SqliteStore } from './store/sqlite-store.ts'

export interface OpenStore {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  /** As the banner names it. */
  readonly label: string
  /** Sentences for the operator. */
  readonly warnings: readonly string[]
}

/**
 * @throws StoreOpenError, SealOpenError, UnsupportedStoreError: each with one line for the operator.
 */
export function openStore(config: KeystoreConfig): OpenStore {
  if (config.type === 'memory') {
    const store = SqliteStore.inMemory()
    const seal = Seal.createInMemory(store)
    const journal = openJournal(store, seal)
    return { store, seal, journal, label: 'In Memory', warnings: store.warnings }
  }
  assertStoreSupported({ keystore: config })
  if (config.type !== 'sqlite') throw new TypeError(`no opener for the supported store '${config.type}'`)
  return openSqlite(config)
}

function openSqlite({ path, unseal, argon2 }: SqliteKeystore): OpenStore {
  const secret = readSecret(unseal)
  const cost = {
    memoryKiB: Math.ceil(argon2.memoryBytes / 1024),
    passes: argon2.passes,
    parallelism: argon2.parallelism,
  }
  const isNew = !existsSync(path)
  if (isNew && secret.kind === 'passphrase') assertFitPassphrase(secret.passphrase, cost)
  const store = SqliteStore.open(path)
  try {
    const seal = Seal.isSetUp(store) ? Seal.open(store, secret) : Seal.create(store, secret, { cost })
    const journal = openJournal(store, seal)
    const made = isNew ? [`a new key store was made at '${path}'`] : []
    const warnings = [...made, ...store.warnings, ...exportPublicKey(journal, store.path)]
    return { store, seal, journal, label: `SQLite: ${path}`, warnings }
  } catch (error) {
    store.close()
    throw error
  }
}

/** The bytes of the secret are wiped by the seal that takes them. */
function readSecret(unseal: UnsealConfig): Secret {
  if (unseal.type === 'key-file') return { kind: 'key file', bytes: readKeyFile(unseal.path) }
  const passphrase =
    unseal.type === 'passphrase'
      ? Buffer.from(unseal.passphrase.reveal(), 'utf8')
      : readPassphraseFile(unseal.path)
  return { kind: 'passphrase', passphrase }
}
