/** The key store of a config file, opened by a command while no server has it open. */
import type { SealSecret } from '@latchkey/kms-client'
import type { Config } from '../config/config.ts'
import type { KeystoreConfig, SqliteKeystore } from '../config/keystore-config.ts'
import { KesError } from '../errors.ts'
import type { Secret } from '../keyring/seal-admin.ts'
import type { OpenStore } from '../open-store.ts'
import { StoreLockedError } from '../store/open-errors.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

/** The store of a config file, for what must not make one. @throws {@link CliError} */
export async function readExistingKeystore(file: string): Promise<KeystoreConfig> {
  const { keystore } = await readServerConfig(file)
  if ('path' in keystore && !(await isMade(keystore)))
    throw new CliError(`the store '${keystore.path}' does not exist`)
  return keystore
}

/** A store that can be restored, and what the config says of the names of erased keys. */
export async function readSqliteConfig(
  file: string,
): Promise<Pick<SqliteKeystore, 'path' | 'unseal'> & { readonly erasedNames: 'reserved' | 'free' }> {
  const { keystore, keysOptions } = await readServerConfig(file)
  if (keystore.type !== 'sqlite') throw new CliError(`the store of '${file}' is none of type 'sqlite'`)
  return { ...keystore, erasedNames: keysOptions.erasedNames }
}

/** @throws {@link CliError} with every problem of the file. */
export async function readServerConfig(file: string): Promise<Config> {
  const { loadConfigFile } = await import('../config/load-config.ts')
  const { ConfigError, placesOf } = await import('../config/problem.ts')
  try {
    return loadConfigFile(file).config
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message, placesOf(error))
    throw error
  }
}

/**
 * Opens the store for `body` alone, and closes it.
 *
 * @throws StoreLockedError while a server has it open, and all that opening a store throws.
 */
export async function withStore<T>(
  config: KeystoreConfig,
  body: (opened: OpenStore) => T | Promise<T>,
): Promise<T> {
  const { openStore } = await import('../open-store.ts')
  const opened = openStore(config)
  try {
    return await body(opened)
  } finally {
    opened.seal.destroy()
    opened.store.close()
  }
}

/**
 * Whether the store has been set up, or may have been. To open one that has not would make it.
 *
 * @throws StoreOpenError if that can't be seen.
 */
export async function isMade(config: KeystoreConfig): Promise<boolean> {
  if (config.type !== 'sqlite' && config.type !== 'fs') return true
  const { placeOf } = await import('../inspect-store.ts')
  return placeOf(config).isMade
}

/** Tells what the server would tell in its log. */
export function warnOf({ stderr }: Io, { warnings }: OpenStore): void {
  for (const warning of warnings) stderr.write(`WARNING: ${warning}\n`)
}

/** A store that a server uses: the same can be had from that server. */
export function explainLocked(error: unknown): unknown {
  if (!(error instanceof StoreLockedError)) return error
  return new CliError(error.message, ['To ask the server that uses it, leave out --config.'])
}

export function asStoreSecret(secret: SealSecret): Secret {
  return 'passphrase' in secret
    ? { kind: 'passphrase', passphrase: secret.passphrase }
    : { kind: 'key file', bytes: secret.keyFile }
}

/** What a store's error says to an operator, who may know more of it than a client of the server. */
export function explainStoreError(error: unknown, failure: string): unknown {
  if (!(error instanceof KesError)) return error
  return new CliError(`${failure}: ${error.detail ?? error.message}`)
}
