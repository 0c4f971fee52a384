/** `kes key`: makes keys, changes them, and erases them. */
import { rmSync } from 'node:fs'
import { parsePeriod } from '../encoding/period.ts'
import type { ClientFlags, KesCommand } from './command.ts'
import { formatUtcTime } from './format.ts'
import type { Io } from './io.ts'
import { addKeyAdoptCommand } from './key-adopt-command.ts'
import {
  addKeyExportCommand,
  addSealedImportOptions,
  importSealed,
  type SealedImportFlags,
} from './key-export-command.ts'
import { addKeyHistoryCommand } from './key-history-command.ts'
import { addKeyInfoCommands } from './key-info-commands.ts'
import { addKeyUseCommands } from './key-use-commands.ts'
import { addKeyWatchCommand } from './key-watch-command.ts'
import { CliError } from './outcome.ts'
import { paint } from './paint.ts'
import type { Servers } from './servers.ts'
import { withServers } from './with-servers.ts'

export function addKeyCommands(program: KesCommand, io: Io): void {
  const group = program.command('key').description('Manage cryptographic keys').usage('<command>')
  addCreate(group, io)
  addImport(group, io)
  addKeyInfoCommands(group, io)
  addKeyHistoryCommand(group, io)
  addKeyWatchCommand(group, io)
  addRemove(group, io)
  addCancelDeletion(group, io)
  addSwitch(group, io, 'disable')
  addSwitch(group, io, 'enable')
  addKeyUseCommands(group, io)
  addKeyExportCommand(group, io)
  addKeyAdoptCommand(group)
}

function addCreate(group: KesCommand, io: Io): void {
  const command = group
    .command('create')
    .description('Create a new key')
    .usage('[options] <name>...')
    .argument('[names...]')
    .addClientOptions()
    .option(
      '--reuse',
      'Take the name of an erased key again; what that key encrypted stays lost (admin only)',
    )
  command.action(async (names: string[], flags: ClientFlags & { reuse?: boolean }) => {
    const { reuse = false } = flags
    if (names.length === 0) throw command.usageError('no key name specified')
    await withServers(io, flags, async (servers) => {
      for (const name of names) {
        const failure = `failed to create key "${name}"`
        await servers.call({ method: 'POST', path: `/v1/key/create/${name}`, failure }, (client, options) =>
          client.createKey(name, { ...options, reuse }),
        )
      }
    })
  })
}

interface ImportFlags extends ClientFlags, SealedImportFlags {}

function addImport(group: KesCommand, io: Io): void {
  const command = addSealedImportOptions(
    group
      .command('import')
      .description("Import a key of 32 bytes, in base64; '-' reads it from standard input")
      .usage('[options] <name> <key>  |  [options] --sealed <file> --config <file> [<name>]')
      .argument('[name]')
      .argument('[key]')
      .addClientOptions(),
  )
  command.action(async (name: string | undefined, text: string | undefined, flags: ImportFlags) => {
    const { sealed } = flags
    if (sealed !== undefined) {
      if (text !== undefined) throw command.usageError('too many arguments')
      refuseFlags(command, flags, OF_A_SERVER, 'with')
      return importSealed(io, name, { ...flags, sealed }, command)
    }
    refuseFlags(command, flags, OF_A_SEALED_KEY, 'without')
    if (name === undefined) throw command.usageError('no key name specified')
    if (text === undefined) throw command.usageError('no crypto key specified')
    const { decodeArgument } = await import('./base64-argument.ts')
    const key = decodeArgument(command, 'key', text === '-' ? (await io.readStdin()).trim() : text)
    await withServers(io, flags, (servers) =>
      servers.call(
        { method: 'POST', path: `/v1/key/import/${name}`, failure: `failed to import "${name}"` },
        (client, options) => client.importKey(name, key, options),
      ),
    )
  })
}

const OF_A_SERVER = ['insecure', 'ca'] as const
const OF_A_SEALED_KEY = ['config', 'reuse', 'identityFile', 'passphraseFile'] as const

/** What has no effect is refused: a key must not go to another store than the one that was named. */
function refuseFlags(
  command: KesCommand,
  flags: ImportFlags,
  names: readonly (keyof ImportFlags)[],
  preposition: 'with' | 'without',
): void {
  const given = names.find((name) => flags[name] !== undefined)
  if (given === undefined) return
  const option = given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  throw command.usageError(`'--${option}' has no effect ${preposition} '--sealed'`)
}

function addRemove(group: KesCommand, io: Io): void {
  const command = group
    .command('rm')
    .description(
      'Erase a key; all that was encrypted with it is lost. Where the server has a waiting period, or with --after, ' +
        'the erasure is scheduled, and the key can not be used until then',
    )
    .summary('Erase a key; all that was encrypted with it is lost')
    .usage('[options] <name>...')
    .argument('[names...]')
    .addClientOptions()
    .option(
      '--after <time>',
      "Erase only then, such as 7d or 36h; until then 'key cancel-deletion' keeps the key",
    )
    .option('--receipt <file>', 'Write the signed receipt of the erasure to a new file')
  command.action(async (names: string[], flags: ClientFlags & { receipt?: string; after?: string }) => {
    if (names.length === 0) throw command.usageError('no key name specified')
    const { receipt, after } = flags
    if (receipt !== undefined && names.length > 1) throw command.usageError('a receipt is of one key only')
    if (receipt !== undefined && after !== undefined) {
      throw command.usageError("a receipt is of an erasure: use '--receipt' again when the time is over")
    }
    if (after !== undefined && parsePeriod(after) === undefined) {
      throw command.usageError(`invalid time "${after}": write 7d or 36h, up to 3650d`)
    }
    await withServers(io, flags, async (servers) => {
      if (receipt !== undefined) return removeWithReceipt(io, servers, names[0] ?? '', receipt)
      for (const name of names) {
        const failure = `failed to remove key "${name}"`
        const waiting = await servers.call(
          { method: 'DELETE', path: `/v1/key/delete/${name}`, failure },
          (client, options) => client.deleteKey(name, { ...options, after }),
        )
        if (waiting?.deletionAt === undefined) continue
        io.stdout.write(`key "${name}" will be deleted after ${formatUtcTime(waiting.deletionAt)} UTC\n`)
      }
    })
  })
}

function addCancelDeletion(group: KesCommand, io: Io): void {
  const command = group
    .command('cancel-deletion')
    .description('Keep keys whose deletion is scheduled; they are disabled then')
    .usage('[options] <name>...')
    .argument('[names...]')
    .addClientOptions()
  command.action(async (names: string[], flags: ClientFlags) => {
    if (names.length === 0) throw command.usageError('no key name specified')
    await withServers(io, flags, async (servers) => {
      for (const name of names) {
        const path = `/v1/key/cancel-deletion/${name}`
        const failure = `failed to cancel the deletion of key "${name}"`
        await servers.call({ method: 'PUT', path, failure }, (client, options) =>
          client.cancelKeyDeletion(name, options),
        )
      }
    })
  })
}

/** The file is made first: a key must not be gone and its receipt homeless. */
async function removeWithReceipt(io: Io, servers: Servers, name: string, file: string): Promise<void> {
  const { writeFileAtomically } = await import('./file.ts')
  if (!writeFileAtomically(file, '', { mode: 0o600, replace: false })) {
    throw new CliError(`the file '${file}' exists already`)
  }
  const path = `/v1/key/delete/${name}`
  const failure = `failed to remove key "${name}"`
  let document: string
  try {
    const receipt = await servers.call({ method: 'DELETE', path, failure }, (client, options) =>
      client.deleteKeyWithReceipt(name, options),
    )
    document = receipt.document
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  }
  try {
    writeFileAtomically(file, document, { mode: 0o600, replace: true })
  } catch (error) {
    io.stdout.write(document)
    throw error
  }
}

/**
 * `key disable` and `key enable`: names, each in a call of its own, or patterns, each a call for all its keys. There
 * is no question to answer first, not even for `--all`: a lock must be immediate, and both can be taken back.
 */
function addSwitch(group: KesCommand, io: Io, verb: 'disable' | 'enable'): void {
  const description = {
    disable: 'Lock keys: no use of them is possible until they are enabled',
    enable: 'Unlock keys that were disabled',
  }[verb]
  const command = group
    .command(verb)
    .description(`${description}. A name may end in '*': then it stands for all keys that start so`)
    .summary(description)
    .usage('[options] <name or pattern>... | --all')
    .argument('[names...]')
    .addClientOptions()
    .option('--all', `${verb === 'disable' ? 'Lock' : 'Unlock'} every key`)
  command.action(async (names: string[], flags: ClientFlags & { all?: boolean }) => {
    if (flags.all && names.length > 0) {
      throw command.usageError("'--all' and key names must not be used at the same time")
    }
    if (!flags.all && names.length === 0) throw command.usageError('no key name specified')
    await withServers(io, flags, async (servers) => {
      for (const name of flags.all ? ['*'] : names) {
        const path = `/v1/key/${verb}/${name}`
        if (!name.endsWith('*')) {
          await servers.call(
            { method: 'PUT', path, failure: `failed to ${verb} key "${name}"` },
            (client, options) =>
              verb === 'disable' ? client.disableKey(name, options) : client.enableKey(name, options),
          )
          continue
        }
        const { matched, changed, damaged, pending } = await servers.call(
          { method: 'PUT', path, failure: `failed to ${verb} keys "${name}"` },
          (client, options) =>
            verb === 'disable' ? client.disableKeys(name, options) : client.enableKeys(name, options),
        )
        io.stdout.write(`${changed} of ${matched} keys ${verb}d\n`)
        if (matched === 0 && !flags.all) {
          printHint(io, `there is no key whose name starts with "${name.slice(0, -1)}".`)
        }
        if (damaged > 0) {
          printHint(io, `${damaged} of them have a damaged record: 'kes key ls --long' names them.`)
        }
        if (pending > 0) {
          printHint(io, `${pending} of them are pending deletion, and stay so: they can not be used anyway.`)
        }
      }
    })
  })
}

function printHint({ stderr, env }: Io, text: string): void {
  stderr.write(`${paint('dim', `Hint: ${text}`, stderr, env)}\n`)
}
