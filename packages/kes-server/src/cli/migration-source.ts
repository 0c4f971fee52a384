/** Opens what `kes migrate` reads from: the store of a config file, or a folder of keys alone. */
import { existsSync, realpathSync, statSync } from 'node:fs'
import type { KeystoreConfig } from '../config/keystore-config.ts'
import { assertStoreSupported } from '../config/supported-stores.ts'
import type { MigrationSource } from '../keyring/migration-source.ts'
import type { KeyFolder } from '../store/key-folder.ts'
import type { Io } from './io.ts'
import { isMade, readServerConfig, warnOf, withStore } from './offline-store.ts'
import { CliError } from './outcome.ts'

/**
 * A folder that no Latchkey has used is read as it is, and nothing is made beside it.
 *
 * @param from - a config file, or a folder of keys.
 * @param target - must be another store.
 * @throws {@link CliError}, UnsupportedStoreError
 */
export async function withSource<T>(
  io: Io,
  from: string,
  target: KeystoreConfig,
  body: (source: MigrationSource) => Promise<T>,
): Promise<T> {
  const { FolderSource, StoreSource } = await import('../keyring/migration-source.ts')
  const config = isFolder(from) ? plainFolder(from) : (await readServerConfig(from)).keystore
  for (const keystore of [config, target]) assertStoreSupported({ keystore })
  if (placeOf(config) === placeOf(target))
    throw new CliError('the source and the target are the same key store')
  if (config.type === 'fs' && isFolder(config.path) && !(await isMade(config))) {
    const { KeyFolder } = await import('../store/key-folder.ts')
    const { databasePathOf } = await import('../open-store.ts')
    const folder = KeyFolder.view(realpathSync(config.path))
    const database = databasePathOf(config)
    assertNoState(folder, database)
    if (config.databasePath !== undefined)
      throw new CliError(`there is no database at '${database}', where the config has the state of the keys`)
    const source = new FolderSource(folder)
    warn(io, mayHaveState(config.path))
    if (source.others > 0)
      warn(io, `names in '${config.path}' that no key can have, which are left out: ${source.others}`)
    return await body(source)
  }
  if (!(await isMade(config))) throw new CliError(`there is no key store at '${placeOf(config)}'`)
  return await withStore(config, (opened) => {
    warnOf(io, opened)
    return body(new StoreSource(opened))
  })
}

/** Without its state a disabled key would arrive enabled, and an erased name free. */
function assertNoState({ path, trace }: KeyFolder, database: string): void {
  if (trace === undefined) return
  throw new CliError(`a Latchkey has used the folder '${path}', and its state is not at '${database}'`, [
    "Locks and reserved names are part of that state: give --from the config file of that Latchkey's server",
    `If the state is lost, remove '${trace}' to copy every key as enabled`,
  ])
}

/** A Latchkey that can't write beside its folder leaves no trace there. */
function mayHaveState(path: string): string {
  return (
    `there is no state beside '${path}': if a Latchkey uses the folder and has its database elsewhere, locks and ` +
    'reserved names are not copied; they are with --from and the config file of its server'
  )
}

function warn({ stderr }: Io, text: string): void {
  stderr.write(`WARNING: ${text}\n`)
}

function plainFolder(path: string): KeystoreConfig {
  const argon2 = { memoryBytes: 0, passes: 0, parallelism: 0 } // Without a passphrase there is nothing to derive.
  return { type: 'fs', path, databasePath: undefined, unseal: undefined, argon2 }
}

/** False where that can't be seen: what reads the path says why. */
function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory()
}

/** Undefined for a store that is at no path. */
function placeOf(config: KeystoreConfig): string | undefined {
  if (config.type !== 'fs' && config.type !== 'sqlite') return undefined
  return existsSync(config.path) ? realpathSync(config.path) : config.path
}
