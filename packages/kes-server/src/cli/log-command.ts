/** `kes log`: a server's audit or error log, live until Ctrl-C. */
import type { AuditEvent } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand } from './command.ts'
import { formatClock, formatLatency } from './format.ts'
import { type Io, printJson } from './io.ts'
import { CliError } from './outcome.ts'
import { paint } from './paint.ts'
import { untilInterrupted } from './until-interrupted.ts'
import { withServers } from './with-servers.ts'
import { withoutControls } from './without-controls.ts'

const COLUMNS = [8, 6, 20, 15, 30] as const
const GAP = '    '

interface LogFlags extends ClientFlags {
  readonly audit?: boolean
  readonly error?: boolean
  readonly json?: boolean
}

export function addLogCommand(program: KesCommand, io: Io): void {
  program
    .command('log')
    .description('Print the log of a server until interrupted')
    .addClientOptions()
    .option('--audit', 'Print the audit log (default)')
    .option('--error', 'Print the error log')
    .addJsonOption('Print each event as a line of JSON')
    .action(async (flags: LogFlags) => {
      if (flags.audit && flags.error)
        throw new CliError('cannot display audit and error logs at the same time')
      await (flags.error ? printErrorLog(io, flags) : printAuditLog(io, flags))
    })
}

function printAuditLog(io: Io, flags: LogFlags): Promise<void> {
  return withServers(io, flags, (servers) =>
    servers.call({ method: 'GET', path: '/v1/log/audit' }, async (client, { signal }, { endpoint, stay }) => {
      const header = row(['Time', 'Status', 'Identity', 'IP', 'API'], 'Latency')
      const onOpen = () => {
        stay()
        if (!flags.json) io.stdout.write(`${paint('bold', header, io.stdout, io.env)}\n`)
      }
      await untilInterrupted(io, endpoint, async () => {
        for await (const event of client.auditLog({ signal, onOpen })) {
          if (flags.json) printJson(io, auditDocument(event))
          else io.stdout.write(`${auditRow(io, event)}\n`)
        }
      })
    }),
  )
}

function printErrorLog(io: Io, flags: LogFlags): Promise<void> {
  return withServers(io, flags, (servers) =>
    servers.call({ method: 'GET', path: '/v1/log/error' }, (client, { signal }, { endpoint, stay }) =>
      untilInterrupted(io, endpoint, async () => {
        for await (const { message } of client.errorLog({ signal, onOpen: stay })) {
          if (flags.json) printJson(io, { message })
          else io.stdout.write(`${withoutControls(message)}\n`)
        }
      }),
    ),
  )
}

function auditRow(io: Io, event: AuditEvent): string {
  const status = String(event.status).padEnd(COLUMNS[1])
  const style = event.status < 300 ? 'green' : event.status < 500 ? 'yellow' : 'red'
  const cells = [
    formatClock(new Date(event.time)),
    paint(style, status, io.stdout, io.env),
    withoutControls(event.identity ?? '').slice(0, COLUMNS[2]),
    withoutControls(event.ip ?? ''),
    withoutControls(event.path),
  ]
  return row(cells, formatLatency(event.responseTime))
}

function row(cells: readonly string[], last: string): string {
  return [...cells.map((cell, column) => cell.padEnd(COLUMNS[column] ?? 0)), last].join(GAP)
}

function auditDocument({ time, ip, path, identity, status, responseTime }: AuditEvent) {
  return { time, request: { ip, path, identity }, response: { code: status, time: responseTime } }
}
