/** The key store of a config file, opened by a command while no server has it open. */
import { existsSync } from 'node:fs'
import type { Config } from '../config/config.ts'
import type { KeystoreConfig } from '../config/keystore-config.ts'
import { KesError } from '../errors.ts'
import type { OpenStore } from '../open-store.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

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

/** Whether the store has been set up, or may have been. To open one that has not would make it. */
export async function isMade(config: KeystoreConfig): Promise<boolean> {
  if (config.type === 'sqlite') return existsSync(config.path)
  if (config.type !== 'fs') return true
  const { databasePathOf } = await import('../open-store.ts')
  return existsSync(config.path) && existsSync(databasePathOf(config))
}

/** Tells what the server would tell in its log. */
export function warnOf({ stderr }: Io, { warnings }: OpenStore): void {
  for (const warning of warnings) stderr.write(`Warning: ${warning}\n`)
}

/** What a store's error says to an operator, who may know more of it than a client of the server. */
export function explainStoreError(error: unknown, failure: string): unknown {
  if (!(error instanceof KesError)) return error
  return new CliError(`${failure}: ${error.detail ?? error.message}`)
}
