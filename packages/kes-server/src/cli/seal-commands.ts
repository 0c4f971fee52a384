/** `kes seal`: what opens the store, and its root key. */
import type { SealInfo, SealSecret, SealSlot, SlotChange } from '@latchkey/kms-client'
import { type KesCommand, type OutputFlags, repeatable } from './command.ts'
import { formatTable, formatUtcTime } from './format.ts'
import { type Io, printJson } from './io.ts'
import { CliError } from './outcome.ts'
import { paint } from './paint.ts'
import { ProgressBar } from './progress-bar.ts'
import type { SealAccess, SealFlags } from './seal-access.ts'
import {
  askNewPassphrase,
  askPassphrase,
  readKeyFile,
  readNewKeyFile,
  readPassphrase,
  readSecret,
} from './secret-source.ts'

const WHERE_HELP = `
Asks the server of KES_SERVER, as the admin. With --config it works on the store of that config file instead, while no
server uses it, and the secret that the config names opens the store.

Passphrases are asked for, or read from a file; '-' is the standard input.`

export function addSealCommands(program: KesCommand, io: Io): void {
  const group = program
    .command('seal')
    .description('Change what opens the key store: passphrases, key files, the root key')
    .usage('<command>')
  addLs(group, io)
  addAddSlot(group, io)
  addRemoveSlot(group, io)
  addChangePassphrase(group, io)
  addRotateRoot(group, io)
}

function sealCommand(group: KesCommand, name: string, description: string): KesCommand {
  return group
    .command(name)
    .description(description)
    .usage('[options]')
    .addClientOptions()
    .option('--config <file>', 'Work on the store of this config file, while no server uses it')
    .addJsonOption()
    .addHelpText('after', WHERE_HELP)
}

/** Loads what it needs only when it is run. */
async function withSeal<Result>(
  io: Io,
  flags: SealFlags,
  run: (seal: SealAccess) => Promise<Result>,
): Promise<Result> {
  const access = await import('./seal-access.ts')
  return access.withSeal(io, flags, run)
}

function addLs(group: KesCommand, io: Io): void {
  const command = sealCommand(group, 'ls', 'List the slots: each opens the store').addColorOption()
  command.action(async (flags: SealFlags & OutputFlags) => {
    const seal = await withSeal(io, flags, (each) => each.describe())
    if (flags.json) return printJson(io, sealDocument(seal))
    const rows = seal.slots.map((slot) => [
      String(slot.id),
      slot.kind,
      slot.label,
      formatUtcTime(slot.createdAt),
      costOf(slot),
      slot.isOwn ? 'yes' : '',
    ])
    const titles = ['Slot', 'Kind', 'Label', 'Made', 'Cost of a guess', 'In the config']
    const [header = '', ...lines] = formatTable([titles, ...rows])
    io.stdout.write(`${[paint('bold', header, io.stdout, io.env, flags.color), ...lines].join('\n')}\n`)
    if (seal.rotation !== undefined) {
      const { done, total } = seal.rotation
      io.stdout.write(`\nA new root key is being put in place: ${done} of ${total} records are resealed.\n`)
    }
  })
}

function costOf({ argon2 }: SealSlot): string {
  if (argon2 === undefined) return ''
  const { memoryKiB, passes, parallelism } = argon2
  return `argon2id, ${memoryKiB / 1024} MiB, ${passes} passes, ${parallelism} lanes`
}

function sealDocument({ rootGeneration, slots, rotation }: SealInfo) {
  return {
    root_generation: rootGeneration,
    slots: slots.map(({ id, label, kind, createdAt, argon2, isOwn }) => ({
      id,
      label,
      kind,
      created_at: createdAt,
      ...(argon2 && {
        argon2: { memory_kib: argon2.memoryKiB, passes: argon2.passes, parallelism: argon2.parallelism },
      }),
      is_own: isOwn,
    })),
    rotation: rotation ?? null,
  }
}

interface AddFlags extends SealFlags, OutputFlags {
  readonly label?: string
  readonly passphraseFile?: string
  readonly keyFile?: string
  readonly unlockPassphraseFile?: string
  readonly unlockKeyFile?: string
}

function addAddSlot(group: KesCommand, io: Io): void {
  const command = sealCommand(group, 'add-slot', 'Let another passphrase or key file open the store')
    .option('--label <text>', 'What to call the slot')
    .option('--passphrase-file <file>', 'The new passphrase; without this and the next it is asked for')
    .option('--key-file <file>', 'The new key file: 32 random bytes or more, which only its owner may read')
    .option('--unlock-passphrase-file <file>', 'A passphrase that opens the store already')
    .option('--unlock-key-file <file>', 'A key file that opens the store already')
  command.action(async (flags: AddFlags) => {
    const added = await withSeal(io, flags, async (seal) => {
      const { unlockPassphraseFile: passphraseFile, unlockKeyFile: keyFile } = flags
      const unlock =
        (await readSecret(io, { passphraseFile, keyFile }, command)) ??
        (seal.isUnlocked
          ? undefined
          : { passphrase: await askPassphrase(io, 'Passphrase that opens the store: ') })
      const secret = (await readSecret(io, flags, command, readNewKeyFile)) ?? {
        passphrase: await askNewPassphrase(io, 'New passphrase: '),
      }
      const kind = 'passphrase' in secret ? 'passphrase' : 'key file'
      return await seal.addSlot(unlock, secret, flags.label ?? kind)
    })
    if (flags.json) return printJson(io, { id: added.id })
    io.stdout.write(`Slot ${added.id} was added.\n`)
  })
}

function addRemoveSlot(group: KesCommand, io: Io): void {
  const command = sealCommand(group, 'remove-slot', 'Take a slot away. Its secret still opens old copies')
    .usage('[options] <slot>')
    .argument('[slot]')
  command.action(async (slot: string | undefined, flags: SealFlags & OutputFlags) => {
    if (slot === undefined) throw command.usageError('no slot specified')
    const removed = await withSeal(io, flags, (seal) => seal.removeSlot(parseSlot(command, slot)))
    await printChange(io, flags, removed, `Slot ${removed.id} was removed.`)
    if (flags.json) return
    io.stderr.write(
      `Its secret still opens copies and backups of the store that were made before. 'kes seal rotate-root' makes it\n` +
        'worthless for what is made from now on.\n',
    )
  })
}

interface ChangeFlags extends SealFlags, OutputFlags {
  readonly passphraseFile?: string
  readonly newPassphraseFile?: string
}

function addChangePassphrase(group: KesCommand, io: Io): void {
  const command = sealCommand(group, 'change-passphrase', 'Replace a passphrase; no key is touched')
    .option('--passphrase-file <file>', 'The passphrase until now; without this it is asked for')
    .option('--new-passphrase-file <file>', 'The one from now on; without this it is asked for')
  command.action(async (flags: ChangeFlags) => {
    const { changed, isOwn } = await withSeal(io, flags, async (seal) => {
      const { passphraseFile, newPassphraseFile } = flags
      const before =
        passphraseFile === undefined
          ? await askPassphrase(io, 'Passphrase until now: ')
          : await readPassphrase(io, passphraseFile)
      const next =
        newPassphraseFile === undefined
          ? await askNewPassphrase(io, 'New passphrase: ')
          : await readPassphrase(io, newPassphraseFile)
      const slot = await seal.changePassphrase(before, next)
      const { slots } = await seal.describe()
      return { changed: slot, isOwn: slots.find(({ id }) => id === slot.id)?.isOwn === true }
    })
    await printChange(io, flags, changed, `The passphrase of slot ${changed.id} was changed.`)
    if (isOwn) io.stderr.write('Put the new passphrase where the server reads it, before its next start.\n')
  })
}

interface RotateFlags extends SealFlags, OutputFlags {
  readonly slot?: readonly string[]
  readonly remove?: readonly string[]
}

function addRotateRoot(group: KesCommand, io: Io): void {
  const command = sealCommand(group, 'rotate-root', 'Make a new root key, and reseal every key under it')
    .option('--slot <id=file>', 'Passphrase or key file of a slot that is kept; may be repeated', repeatable)
    .option('--remove <id>', 'Take this slot away; may be repeated', repeatable)
    .addHelpText(
      'after',
      `
A slot holds the root key, so its secret is needed to put the new one in. The server has that of its own slot; a
passphrase of another one is asked for.

The server goes on serving meanwhile, and goes on resealing when this command ends, or after a restart.`,
    )
  command.action(async (flags: RotateFlags) => {
    const files = new Map((flags.slot ?? []).map((text) => parseSlotFile(command, text)))
    const remove = (flags.remove ?? []).map((text) => parseSlot(command, text))
    const bar = new ProgressBar(io, 'records')
    const { rootGeneration } = await withSeal(io, flags, async (seal) => {
      const before = await seal.describe()
      if (before.rotation === undefined) {
        const keep = await secretsOf(io, before.slots, files, remove)
        await seal.beginRotation({ keep, remove })
      } else io.stderr.write('A new root key is being put in place already; this command follows.\n')
      await seal.followRotation((done, total) => bar.show(done, total))
      bar.clear()
      return await seal.describe()
    })
    if (flags.json) return printJson(io, { root_generation: rootGeneration })
    io.stdout.write(`Every key is sealed under root key ${rootGeneration}.\n`)
  })
}

async function secretsOf(
  io: Io,
  slots: readonly SealSlot[],
  files: ReadonlyMap<number, string>,
  remove: readonly number[],
): Promise<Map<number, SealSecret>> {
  const secrets = new Map<number, SealSecret>()
  for (const { id, kind, label, isOwn } of slots) {
    const file = files.get(id)
    if (remove.includes(id) || (isOwn && file === undefined)) continue
    if (kind === 'passphrase') {
      const passphrase =
        file === undefined
          ? await askPassphrase(io, `Passphrase of slot ${id} '${label}': `)
          : await readPassphrase(io, file)
      secrets.set(id, { passphrase })
    } else if (kind === 'key file' && file !== undefined) {
      secrets.set(id, { keyFile: readKeyFile(file) })
    } else {
      const hint = kind === 'key file' ? `keep it with --slot ${id}=FILE, or take` : 'it is damaged: take'
      throw new CliError(`slot ${id} '${label}' is neither kept nor removed`, [
        `${hint} it away with --remove ${id}`,
      ])
    }
  }
  return secrets
}

function parseSlot(command: KesCommand, text: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
  throw command.usageError(`invalid slot: "${text}"`)
}

function parseSlotFile(command: KesCommand, text: string): readonly [number, string] {
  const at = text.indexOf('=')
  if (at < 0 || at === text.length - 1)
    throw command.usageError(`invalid argument "${text}" for "--slot" flag`)
  return [parseSlot(command, text.slice(0, at)), text.slice(at + 1)]
}

async function printChange(io: Io, flags: OutputFlags, change: SlotChange, text: string): Promise<void> {
  if (flags.json) return printJson(io, { id: change.id, is_erased: change.isErased })
  io.stdout.write(`${text}\n`)
  if (change.isErased) return
  const { STILL_ON_DISK } = await import('./seal-access.ts')
  io.stderr.write(`WARNING: ${STILL_ON_DISK}\n`)
}
