/** `kes sandbox`: a key server for the tests of a program, in whatever language it is written. */
import type { KesCommand } from './command.ts'
import type { Io } from './io.ts'
import { explainListening } from './listen-error.ts'
import { Exit } from './outcome.ts'

interface SandboxFlags {
  readonly key?: readonly string[]
  readonly reserve?: boolean
  readonly port?: number
  readonly seed?: number
  readonly json?: boolean
}

export function addSandboxCommand(program: KesCommand, io: Io): void {
  const command = program.command('sandbox')
  const whole = (flag: string, max: number) => (text: string) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value <= max) return value
    throw command.usageError(`invalid argument "${text}" for "${flag}" flag: it is a number up to ${max}`)
  }
  command
    .description('Start a key server for tests, which can be made to fail')
    .usage('[options]')
    .option('--key <name>', 'Begin with this key (repeatable)', (name, names: string[] = []) => [
      ...names,
      name,
    ])
    .option('--reserve', 'Keep the names of erased keys reserved, as in production')
    .option('--port <n>', 'Listen on this port of 127.0.0.1 (default: any free one)', whole('--port', 65_535))
    .option(
      '--seed <n>',
      'Decide all chance in faults by this number (default: 1)',
      whole('--seed', 2 ** 31 - 1),
    )
    .addJsonOption('Print endpoint, API key, files and control URL as one JSON line')
    .addHelpText(
      'after',
      `
A server in memory, with a certificate and an admin API key of its own. It ends with its standard input, with the
process that started it, or on Ctrl-C; then all is lost. Over its control URL, keys can be locked and erased, and
the server made slow, unreachable or faulty: docs/testing.md has the calls.

Examples:
  kes sandbox --key orders             For a person: prints what to type
  kes sandbox --key orders --json      For a test: start it with a pipe as its standard input, and read one line`,
    )
    .action(async ({ key, reserve = false, port, seed, json = false }: SandboxFlags) => {
      // Loaded here: no other command needs it.
      const { runSandbox } = await import('./run-sandbox.ts')
      const options = { keys: key ?? [], erasedNames: reserve ? 'reserved' : 'free', port, seed } as const
      const output = { isJson: json, stdout: io.stdout, stderr: io.stderr }
      const code = await runSandbox(options, output).catch((error: unknown) => {
        throw explainListening(error, '--port')
      })
      throw new Exit(code)
    })
}
