/** `kes server`: runs a key server. */
import { Option } from 'commander'
import { ConfigError, placesOf } from '../config/problem.ts'
import { WORKERS_MAX } from '../config/read-config.ts'
import type { KesCommand } from './command.ts'
import type { Io } from './io.ts'
import { explainListening } from './listen-error.ts'
import { CliError, Exit } from './outcome.ts'

interface ServerFlags {
  readonly addr?: string
  readonly config?: string
  readonly dev?: boolean
  readonly strict?: boolean
  readonly workers?: number
  readonly key?: string
  readonly cert?: string
  readonly auth?: string
}

/** Options of KES's early releases: accepted, because old start scripts have them, and without effect. */
const DEPRECATED: Readonly<Record<'key' | 'cert' | 'auth', string>> = {
  key: 'Specify the private key in the config file',
  cert: 'Specify the certificate in the config file',
  auth: 'Specify the client authentication in the config file',
}

export function addServerCommand(program: KesCommand, io: Io): void {
  const command: KesCommand = program
    .command('server')
    .description('Start a key server')
    .usage('[options]')
    .option('--addr <ip:port>', "Listen on this address (default: the config's, or 0.0.0.0:7373)")
    .option('--config <path>', 'Read the configuration from this file')
    .option('--dev', 'Start a server for development: in memory, on 127.0.0.1:7373, with a new API key')
    .addOption(
      new Option(
        '--workers <n>',
        "Serve with this many processes (default: the config's, or one for each core)",
      ).argParser((text) => parseWorkers(command, text)),
    )
    .option('--strict', 'Refuse to start if the config file has anything to warn of')
    .addHelpText(
      'after',
      `
Stops on Ctrl-C or SIGTERM: running requests end, new ones are refused. A second signal ends it at once.
On SIGHUP it reads the config file again; certificate files it reads again by itself when they change.

Examples:
  kes server --dev                     A server to try things with; all is lost when it ends
  kes server --config ./kes.yml        A server for real; 'kes config check' tells what is wrong with the file`,
    )
  for (const name of Object.keys(DEPRECATED)) command.addOption(new Option(`--${name} <value>`).hideHelp())
  command.action(async (flags: ServerFlags) => {
    for (const [name, advice] of Object.entries(DEPRECATED)) {
      if (name in flags) {
        io.stderr.write(`WARNING: '--${name}' flag is deprecated and no longer honored. ${advice}\n`)
      }
    }
    throw new Exit(await run(flags))
  })
}

function parseWorkers(command: KesCommand, text: string): number {
  const count = Number(text)
  if (/^[0-9]+$/.test(text) && count >= 1 && count <= WORKERS_MAX) return count
  throw command.usageError(
    `invalid argument "${text}" for "--workers" flag: it is a number from 1 to ${WORKERS_MAX}`,
  )
}

async function run({ addr, config, dev = false, strict = false, workers }: ServerFlags): Promise<number> {
  if (dev && config !== undefined) throw new CliError("'--config' flag is not supported in development mode")
  if (dev && (workers ?? 1) > 1) throw new CliError("'--workers' flag is not supported in development mode")
  try {
    // Loaded here: what the command says of itself needs neither.
    if (dev) {
      const { runDevServer } = await import('./run-dev-server.ts')
      return await runDevServer(addr)
    }
    const { runConfiguredServer } = await import('./run-server.ts')
    return await runConfiguredServer(config ?? '', undefined, { addr, strict, workers })
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(error.message, placesOf(error))
    throw explainListening(error, '--addr')
  }
}
