/** `kes doctor`: looks at everything that may keep a client from its keys, or a server from serving. */
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import type { Finding, Result } from './doctor/findings.ts'
import { type Io, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint, type Style } from './paint.ts'

interface DoctorFlags extends ClientFlags, OutputFlags {
  readonly config?: string
  readonly key?: string
}

const STYLES: Readonly<Record<Result, Style>> = { ok: 'green', warning: 'yellow', problem: 'red' }
const RESULT_COLUMNS = 9
const CHECK_COLUMNS = 13

export function addDoctorCommand(program: KesCommand, io: Io): void {
  const command = program
    .command('doctor')
    .description('Find what keeps a client from its keys, or a server from serving, and say what to do')
    .usage('[options]')
    .option('--key <name>', 'Look at this key, too: what a client may do with it, and whether it works')
    .option('--config <file>', "Look at a server's side instead: its config file, and all that it names")
    .addClientOptions()
    .addJsonOption('Print the findings as JSON')
    .addColorOption()
    .addHelpText(
      'after',
      `
Without --config it walks the way of a client, by the variables of the environment: name, port, TLS,
certificate, clocks, identity, policy, key. With --key a data key is made with that key, decrypted again and
forgotten; nothing else is used, and nothing is changed. With --config it reads what the file names, as the
user that runs it: be the server's user. A running server is not disturbed.

Exit code 0 if there is no problem (there may be warnings), 1 otherwise. Secrets are never printed.

Examples:
  kes doctor --key my-key                         Why can this client not use my-key?
  kes doctor --config /etc/latchkey/kes.yml       Why does the server not start?`,
    )
  command.action(async (flags: DoctorFlags) => {
    if (flags.config !== undefined && flags.key !== undefined)
      throw command.usageError("'--key' asks a server, and '--config' does not")
    const findings = await examine(io, flags)
    if (flags.json) printJson(io, findings)
    else printFindings(io, findings, flags)
    if (findings.some(({ result }) => result === 'problem')) throw new Exit(1)
  })
}

/** Loaded here: other commands need neither the store nor TLS. */
async function examine(io: Io, { config, key, ca, insecure }: DoctorFlags): Promise<readonly Finding[]> {
  if (config !== undefined) {
    const { examineConfig } = await import('./doctor/examine-config.ts')
    return await examineConfig({ file: config, ca, now: io.now() })
  }
  const { examineClient } = await import('./doctor/examine-client.ts')
  return await examineClient(io, { key, ...(ca && { ca }), ...(insecure && { insecure }) })
}

function printFindings(io: Io, findings: readonly Finding[], { color }: OutputFlags): void {
  const { stdout, env } = io
  let subject: string | undefined
  for (const { subject: each, check, result, message, advice, commands = [] } of findings) {
    if (each !== subject) stdout.write(`${paint('bold', each, stdout, env, color)}\n`)
    subject = each
    const word = paint(STYLES[result], result.padEnd(RESULT_COLUMNS), stdout, env, color)
    stdout.write(`  ${word}${check.padEnd(CHECK_COLUMNS)}${message}\n`)
    const indent = ' '.repeat(2 + RESULT_COLUMNS + CHECK_COLUMNS)
    if (advice !== undefined) stdout.write(`${indent}→ ${advice}\n`)
    for (const line of commands) stdout.write(`${indent}    ${line}\n`)
  }
  const count = (result: Result) => findings.filter((finding) => finding.result === result).length
  const [problems, warnings] = [count('problem'), count('warning')]
  const verdict = `${numbered(problems, 'problem')}, ${numbered(warnings, 'warning')}`
  stdout.write(`${paint(problems > 0 ? 'red' : 'bold', verdict, stdout, env, color)}\n`)
}

function numbered(count: number, noun: string): string {
  return `${count === 0 ? 'no' : count} ${noun}${count === 1 ? '' : 's'}`
}
