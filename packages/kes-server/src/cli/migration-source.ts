/** Opens what `kes migrate` reads from: the store of a config file, or a folder of keys alone. */
import { existsSync, realpathSync, statSync } from 'node:fs'
import type { KeystoreConfig } from '../config/keystore-config.ts'
import type { MigrationSource } from '../keyring/migration-source.ts'
import type { Io } from './io.ts'
import { isMade, readServerConfig, warnOf, withStore } from './offline-store.ts'
import { CliError } from './outcome.ts'

/**
 * A folder that no Latchkey has used is read as it is, and nothing is made beside it.
 *
 * @param from - a config file, or a folder of keys.
 * @param target - must be another store.
 */
export async function withSource<T>(
  io: Io,
  from: string,
  target: KeystoreConfig,
  body: (source: MigrationSource) => Promise<T>,
): Promise<T> {
  const { FolderSource, StoreSource } = await import('../keyring/migration-source.ts')
  const config = isFolder(from) ? plainFolder(from) : (await readServerConfig(from)).keystore
  if (placeOf(config) === placeOf(target))
    throw new CliError('the source and the target are the same key store')
  if (config.type === 'fs' && isFolder(config.path) && !(await isMade(config))) {
    const { KeyFolder } = await import('../store/key-folder.ts')
    const source = new FolderSource(KeyFolder.view(realpathSync(config.path)))
    if (source.others > 0) {
      const text = `names in '${config.path}' that no key can have, which are left out: ${source.others}`
      io.stderr.write(`WARNING: ${text}\n`)
    }
    return await body(source)
  }
  if (!(await isMade(config))) throw new CliError(`there is no key store at '${placeOf(config)}'`)
  return await withStore(config, (opened) => {
    warnOf(io, opened)
    return body(new StoreSource(opened))
  })
}

function plainFolder(path: string): KeystoreConfig {
  const argon2 = { memoryBytes: 0, passes: 0, parallelism: 0 } // Without a passphrase there is nothing to derive.
  return { type: 'fs', path, databasePath: undefined, unseal: undefined, argon2 }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** Undefined for a store that is at no path. */
function placeOf(config: KeystoreConfig): string | undefined {
  if (config.type !== 'fs' && config.type !== 'sqlite') return undefined
  return existsSync(config.path) ? realpathSync(config.path) : config.path
}
