/** The command line: all commands, and how a run of one becomes an exit code. */
import { resolve } from 'node:path'
import { aboutText } from './about.ts'
import { addAuditCommands } from './audit-commands.ts'
import { addBackupCommands } from './backup-commands.ts'
import { KesCommand } from './command.ts'
import { candidatesFor, installCompletion, lineToComplete } from './completion.ts'
import { addConfigCommand } from './config-command.ts'
import { addDoctorCommand } from './doctor-command.ts'
import { DEFAULT_SERVER, VARIABLES } from './environment.ts'
import { addIdentityCommands } from './identity-commands.ts'
import type { Io } from './io.ts'
import { addJournalCommands } from './journal-commands.ts'
import { addKeyCommands } from './key-commands.ts'
import { addListCommand } from './list-command.ts'
import { addLogCommand } from './log-command.ts'
import { addMetricCommand } from './metric-command.ts'
import { addMigrateCommand } from './migrate-command.ts'
import { Exit, printError } from './outcome.ts'
import { addPolicyCommands } from './policy-commands.ts'
import { addReceiptCommand } from './receipt-command.ts'
import { addSandboxCommand } from './sandbox-command.ts'
import { addSealCommands } from './seal-commands.ts'
import { addServerCommand } from './server-command.ts'
import { addStatusCommand } from './status-command.ts'
import { addUpdateCommand } from './update-command.ts'

const ENVIRONMENT_HELP = `
Environment (the first variable that is set counts):
  Server       ${VARIABLES.server.join(', ')} (default: ${DEFAULT_SERVER})
  API key      ${VARIABLES.apiKey.join(', ')}
  or files     ${VARIABLES.keyFile.join(', ')}
               ${VARIABLES.certFile.join(', ')}
  Trusted CA   ${VARIABLES.ca.join(', ')} (PEM file or folder)`

/** @returns the exit code: 0, 1 for a failure, 2 after help. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  try {
    const program = buildProgram(io)
    const line = lineToComplete(io.env)
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

function buildProgram(io: Io): KesCommand {
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
  addServerCommand(program, io)
  addSandboxCommand(program, io)
  addConfigCommand(program, io)
  addDoctorCommand(program, io)
  addListCommand(program, io)
  addKeyCommands(program, io)
  addJournalCommands(program, io)
  addReceiptCommand(program, io)
  addSealCommands(program, io)
  addAuditCommands(program, io)
  addBackupCommands(program, io)
  addPolicyCommands(program, io)
  addIdentityCommands(program, io)
  addStatusCommand(program, io)
  addMetricCommand(program, io)
  addLogCommand(program, io)
  addMigrateCommand(program, io)
  addUpdateCommand(program)
  return program
}
