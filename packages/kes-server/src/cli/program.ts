/** The command line: all commands, and how a run of one becomes an exit code. */
import { resolve } from 'node:path'
import { aboutText } from './about.ts'
import { KesCommand } from './command.ts'
import { candidatesFor, installCompletion, lineToComplete } from './completion.ts'
import { DEFAULT_SERVER, VARIABLES } from './environment.ts'
import type { Io } from './io.ts'
import { Exit, printError } from './outcome.ts'

const ENVIRONMENT_HELP = `
Environment (the first variable that is set counts):
  Server       ${VARIABLES.server.join(', ')} (default: ${DEFAULT_SERVER})
  API key      ${VARIABLES.apiKey.join(', ')}
  or files     ${VARIABLES.keyFile.join(', ')}
               ${VARIABLES.certFile.join(', ')}
  Trusted CA   ${VARIABLES.ca.join(', ')} (PEM file or folder)`

type AddCommand = (program: KesCommand, io: Io) => void

/** In the order of the help. Each is loaded when it is called: to load all of them takes longer than most commands. */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  server: async () => (await import('./server-command.ts')).addServerCommand,
  sandbox: async () => (await import('./sandbox-command.ts')).addSandboxCommand,
  config: async () => (await import('./config-command.ts')).addConfigCommand,
  doctor: async () => (await import('./doctor-command.ts')).addDoctorCommand,
  ls: async () => (await import('./list-command.ts')).addListCommand,
  key: async () => (await import('./key-commands.ts')).addKeyCommands,
  journal: async () => (await import('./journal-commands.ts')).addJournalCommands,
  receipt: async () => (await import('./receipt-command.ts')).addReceiptCommand,
  seal: async () => (await import('./seal-commands.ts')).addSealCommands,
  audit: async () => (await import('./audit-commands.ts')).addAuditCommands,
  backup: async () => (await import('./backup-commands.ts')).addBackupCommands,
  policy: async () => (await import('./policy-commands.ts')).addPolicyCommands,
  identity: async () => (await import('./identity-commands.ts')).addIdentityCommands,
  status: async () => (await import('./status-command.ts')).addStatusCommand,
  metric: async () => (await import('./metric-command.ts')).addMetricCommand,
  log: async () => (await import('./log-command.ts')).addLogCommand,
  migrate: async () => (await import('./migrate-command.ts')).addMigrateCommand,
  update: async () => (await import('./update-command.ts')).addUpdateCommand,
}

/** @returns the exit code: 0, 1 for a failure, 2 after help. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  try {
    const line = lineToComplete(io.env)
    const program = await buildProgram(io, line === undefined ? args[0] : undefined)
    if (line === undefined) await program.parseAsync(args, { from: 'user' })
    else
      io.stdout.write(
        candidatesFor(program, line)
          .map((name) => `${name}\n`)
          .join(''),
      )
    return 0
  } catch (error) {
    if (error instanceof Exit) return error.code
    printError(io, error)
    return 1
  }
}

/** @param called - what may be a command; all are there if it is none, for the help and for a hint. */
async function buildProgram(io: Io, called = ''): Promise<KesCommand> {
  const program = new KesCommand('kes', io)
    .description('Key server for encryption at rest that speaks the KES API')
    .usage('<command>')
    .enablePositionalOptions()
    .option('-v, --version', 'Print the version')
    .on('option:version', () => {
      io.stdout.write(aboutText())
      throw new Exit(0)
    })
    .option(
      '--auto-completion',
      'Let the shell complete commands and options: adds a line to .bashrc or .zshrc',
    )
    .on('option:auto-completion', () => {
      installCompletion(io, [process.execPath, resolve(process.argv[1] ?? '')])
      throw new Exit(0)
    })
    .addHelpText('after', ENVIRONMENT_HELP)
  const command = Object.hasOwn(COMMANDS, called) ? COMMANDS[called] : undefined
  const commands = command === undefined ? Object.values(COMMANDS) : [command]
  for (const add of await Promise.all(commands.map((load) => load()))) add(program, io)
  return program
}
