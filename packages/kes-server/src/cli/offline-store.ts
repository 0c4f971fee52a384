/** The key store of a config file, opened by a command while no server has it open. */
import type { KeystoreConfig } from '../config/keystore-config.ts'
import { KesError } from '../errors.ts'
import type { OpenStore } from '../open-store.ts'
import { CliError } from './outcome.ts'

/** @throws {@link CliError} with every problem of the file. */
export async function readKeystoreConfig(file: string): Promise<KeystoreConfig> {
  const { loadConfigFile } = await import('../config/load-config.ts')
  const { ConfigError, placesOf } = await import('../config/problem.ts')
  try {
    return loadConfigFile(file).config.keystore
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

/** What a store's error says to an operator, who may know more of it than a client of the server. */
export function explainStoreError(error: unknown, failure: string): unknown {
  if (!(error instanceof KesError)) return error
  return new CliError(`${failure}: ${error.detail ?? error.message}`)
}
