/** `kes key encrypt`, `decrypt` and `dek`: tries out what an application does with a key. */
import type { ClientFlags, KesCommand } from './command.ts'
import { type Io, isForPeople } from './io.ts'
import { withServers } from './with-servers.ts'

export function addKeyUseCommands(group: KesCommand, io: Io): void {
  addEncrypt(group, io)
  addDecrypt(group, io)
  addDataKey(group, io)
}

function addEncrypt(group: KesCommand, io: Io): void {
  const command = group
    .command('encrypt')
    .description('Encrypt a message')
    .usage('[options] <name> <message>')
    .argument('[name]')
    .argument('[message]')
    .addClientOptions()
  command.action(async (name: string | undefined, message: string | undefined, flags: ClientFlags) => {
    if (name === undefined) throw command.usageError('no key name specified')
    if (message === undefined) throw command.usageError('no message specified')
    const ciphertext = await withServers(io, flags, (servers) =>
      servers.call(
        { method: 'POST', path: `/v1/key/encrypt/${name}`, failure: 'failed to encrypt message' },
        (client, options) => client.encrypt(name, Buffer.from(message, 'utf8'), undefined, options),
      ),
    )
    printBytes(io, { ciphertext })
  })
}

function addDecrypt(group: KesCommand, io: Io): void {
  const command = group
    .command('decrypt')
    .description("Decrypt a ciphertext, in base64; '-' reads it from standard input")
    .usage('[options] <name> <ciphertext> [<context>]')
    .argument('[name]')
    .argument('[ciphertext]')
    .argument('[context]')
    .addClientOptions()
  command.action(
    async (
      name: string | undefined,
      text: string | undefined,
      contextText: string | undefined,
      flags: ClientFlags,
    ) => {
      if (name === undefined) throw command.usageError('no key name specified')
      if (text === undefined) throw command.usageError('no ciphertext specified')
      const { decodeArgument } = await import('./base64-argument.ts')
      const input = text === '-' ? (await io.readStdin()).trim() : text
      const ciphertext = decodeArgument(command, 'ciphertext', input)
      const context = contextText === undefined ? undefined : decodeArgument(command, 'context', contextText)
      const plaintext = await withServers(io, flags, (servers) =>
        servers.call(
          { method: 'POST', path: `/v1/key/decrypt/${name}`, failure: 'failed to decrypt ciphertext' },
          (client, options) => client.decrypt(name, ciphertext, context, options),
        ),
      )
      printBytes(io, { plaintext })
    },
  )
}

function addDataKey(group: KesCommand, io: Io): void {
  const command = group
    .command('dek')
    .description('Generate a new data key; the context is in base64')
    .usage('[options] <name> [<context>]')
    .argument('[name]')
    .argument('[context]')
    .addClientOptions()
  command.action(async (name: string | undefined, contextText: string | undefined, flags: ClientFlags) => {
    if (name === undefined) throw command.usageError('no key name specified')
    const { decodeArgument } = await import('./base64-argument.ts')
    const context = contextText === undefined ? undefined : decodeArgument(command, 'context', contextText)
    const { plaintext, ciphertext } = await withServers(io, flags, (servers) =>
      servers.call(
        { method: 'POST', path: `/v1/key/generate/${name}`, failure: 'failed to derive key' },
        (client, options) => client.generateKey(name, context, options),
      ),
    )
    printBytes(io, { plaintext, ciphertext })
  })
}

/** For people, aligned lines; for programs, JSON without a newline at its end. */
function printBytes(io: Io, fields: Readonly<Record<string, Uint8Array>>): void {
  const texts = Object.entries(fields).map(
    ([name, bytes]) => [name, Buffer.from(bytes).toString('base64')] as const,
  )
  if (!isForPeople(io)) {
    io.stdout.write(JSON.stringify(Object.fromEntries(texts)))
    return
  }
  const width = Math.max(...texts.map(([name]) => name.length)) + 2
  const lines = texts.map(([name, text]) => `${`${name}:`.padEnd(width)}${text}\n`)
  io.stdout.write(`\n${lines.join('')}`)
}
