/** `latchkey-node`: a command each file. */
import { Command, CommanderError } from 'commander'
import { VERSION } from '../version.ts'
import { addEncryptCommand } from './encrypt-command.ts'
import { addFsckCommand } from './fsck-command.ts'
import { addObjectCommand } from './object-command.ts'
import { CliError } from './outcome.ts'
import { addRotateCommand } from './rotate-command.ts'
import { addServerCommand } from './server-command.ts'

/** What a command sees of the process. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

/** @returns the exit code: 0, 1 for a failure, 2 for help and a command line that can't be read. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const program = new Command('latchkey-node')
    .description('A small S3 server that encrypts as MinIO does, under keys that can be locked and erased')
    .version(VERSION, '-v, --version', 'Print the version')
    .helpOption('-h, --help', 'Print this help')
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error:/, 'Error:')),
    })
    .exitOverride()
  addServerCommand(program, io)
  addEncryptCommand(program, io)
  addObjectCommand(program, io)
  addRotateCommand(program, io)
  addFsckCommand(program, io)
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof CliError)) throw error
    io.stderr.write(`${error.label} ${error.message}\n`)
    for (const hint of error.hints) io.stderr.write(`Hint: ${hint}\n`)
    return 1
  }
}
