/** `kes key adopt`: an operator's word on keys whose files contradict the store. */
import { parseKeyName } from '../names.ts'
import type { KesCommand } from './command.ts'
import { explainStoreError, isMade, readServerConfig, withStore } from './offline-store.ts'
import { CliError } from './outcome.ts'

export function addKeyAdoptCommand(group: KesCommand): void {
  const command = group
    .command('adopt')
    .description("Take keys of an 'fs' store as their files are now, after another program changed them")
    .usage('[options] --config <file> <name>...')
    .argument('[names...]')
    .option('--config <file>', "The server's config file")
    .addHelpText(
      'after',
      `
The server must be stopped. A server names such keys when it starts, and refuses them until then: their file was
replaced by one with another key, or is that of a key which was erased here. Where the key was disabled or pending
deletion, it is disabled afterwards.`,
    )
  command.action(async (names: string[], { config: file }: { config?: string }) => {
    if (names.length === 0) throw command.usageError('no key name specified')
    if (file === undefined) throw command.usageError('no config file specified')
    const { keystore: config } = await readServerConfig(file)
    if (config.type !== 'fs')
      throw new CliError(`the key store of '${file}' is no folder of keys: there is nothing to adopt`)
    if (!(await isMade(config))) throw new CliError(`the store '${config.path}' does not exist`)
    const { adoptFile } = await import('../keyring/adopt-files.ts')
    const { FsStore } = await import('../store/fs-store.ts')
    await withStore(config, ({ store, seal, journal }) => {
      if (!(store instanceof FsStore)) throw new TypeError("a store of type 'fs' is an FsStore")
      for (const name of names) {
        try {
          adoptFile(store, seal, journal, parseKeyName(name))
        } catch (error) {
          throw explainStoreError(error, `failed to adopt key "${name}"`)
        }
      }
    })
  })
}
