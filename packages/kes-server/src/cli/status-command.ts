/** `kes status`: how a server is, and which calls it offers. */
import type { Api, ServerStatus } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatBytes, formatUptime } from './format.ts'
import { type Io, isForPeople, printJson } from './io.ts'
import { paint } from './paint.ts'
import { withServers } from './with-servers.ts'

const LABEL_COLUMNS = 9
const METHOD_COLUMNS = 8
const PATH_COLUMNS = 29

interface StatusFlags extends ClientFlags, OutputFlags {
  readonly short?: boolean
  readonly api?: boolean
}

interface Measured {
  /** Who answered: `127.0.0.1:7373` */
  readonly host: string
  readonly status: ServerStatus
  readonly latencyMs: number
}

export function addStatusCommand(program: KesCommand, io: Io): void {
  program
    .command('status')
    .description('Print the status of a server')
    .addClientOptions()
    .option('-s, --short', 'Print one line only')
    .option('--api', 'Print the calls that the server offers, too')
    .addJsonOption()
    .addColorOption()
    .action((flags: StatusFlags) =>
      withServers(io, flags, async (servers) => {
        const measured = await servers.call(
          { method: 'GET', path: '/v1/status' },
          async (client, options, { endpoint }): Promise<Measured> => {
            await client.version(options) // Connects, so that what is measured is one round trip.
            const started = io.now()
            const status = await client.status(options)
            const latencyMs = io.now().getTime() - started.getTime()
            return { host: endpoint.replace('https://', ''), status, latencyMs }
          },
        )
        const apis = flags.api
          ? await servers.call({ method: 'GET', path: '/v1/api' }, (client, options) => client.apis(options))
          : undefined
        if (flags.json) {
          const isIndented = isForPeople(io)
          return printJson(io, apis?.map(apiDocument) ?? statusDocument(measured.status), { isIndented })
        }
        printStatus(io, measured, flags)
        if (apis !== undefined) printApis(io, apis, flags)
      }),
    )
}

function printStatus(io: Io, { host, status, latencyMs }: Measured, { short, color }: StatusFlags): void {
  const isWell = status.isKeyStoreAvailable && status.isKeyStoreReachable
  io.stdout.write(`${paint(isWell ? 'green' : 'yellow', '●', io.stdout, io.env, color)} ${host}\n`)
  if (short) return
  const problem = status.isKeyStoreReachable ? 'unavailable' : 'unreachable'
  const lines = [
    ['Version', status.version],
    ['Uptime', formatUptime(status.uptimeSeconds)],
    ['Latency', `${latencyMs}ms`],
    ...(isWell ? [] : [['Store', paint('red', problem, io.stdout, io.env, color)]]),
    ['OS', status.os],
    ['CPUs', `${status.cpus} ${status.arch}`],
    ['Memory'],
    ['· Heap', formatBytes(status.heapUsedBytes)],
    ['· Stack', formatBytes(status.stackUsedBytes)],
  ].map(
    ([label = '', value]) =>
      `  ${value === undefined ? `${label}  ` : label.padEnd(LABEL_COLUMNS) + value}\n`,
  )
  io.stdout.write(lines.join(''))
}

function printApis(io: Io, apis: readonly Api[], { color }: StatusFlags): void {
  const row = (method: string, path: string, timeout: string) =>
    `${method.padEnd(METHOD_COLUMNS)}${path.padEnd(PATH_COLUMNS)}${timeout}`
  const header = paint('bold', row('Method', 'API', 'Timeout'), io.stdout, io.env, color)
  const rows = sorted(apis).map(({ method, path, timeoutSeconds }) =>
    row(method, path, timeoutSeconds === 0 ? 'Inf' : `${timeoutSeconds}s`),
  )
  io.stdout.write(`\n${[header, ...rows].map((line) => `  ${line}\n`).join('')}`)
}

/** Servers list them in any order. */
function sorted(apis: readonly Api[]): Api[] {
  return [...apis].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** As servers send it. */
function statusDocument(status: ServerStatus) {
  return {
    version: status.version,
    os: status.os,
    arch: status.arch,
    uptime: status.uptimeSeconds,
    num_cpu: status.cpus,
    num_cpu_used: status.cpusUsed,
    mem_heap_used: status.heapUsedBytes,
    mem_stack_used: status.stackUsedBytes,
    keystore_latency: status.keyStoreLatencyMs,
    keystore_unavailable: status.isKeyStoreAvailable ? undefined : true,
    keystore_unreachable: status.isKeyStoreReachable ? undefined : true,
  }
}

/** Zeros are left out, as KES leaves them out. */
function apiDocument({ method, path, bodyBytesMax, timeoutSeconds }: Api) {
  return { method, path, max_body: bodyBytesMax || undefined, timeout: timeoutSeconds || undefined }
}
