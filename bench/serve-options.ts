/** What `serve` may be asked to measure. */
import { parseArgs } from 'node:util'
import { OPERATIONS, type Operation } from './load/messages.ts'
import { HTTP_PROTOCOLS, type HttpProtocol } from './load/target.ts'
import { parseChoices, parseCount } from './program.ts'

export const HELP = `npm run bench -- serve [options]

What does a request cost? Starts the server as a process of its own (SQLite, mutual TLS, no audit log), drives it from
another process, and prints for each operation and version of HTTP: requests a second, latency, and the CPU time that
the server alone spent on a request. The last one is the figure to compare: the others depend on the load generator
('load busy' near 100 % means that it, not the server, was the limit) and on what else the machine does.

  --op LIST          of ${OPERATIONS.join(', ')}; default: all.
                     connect = a new connection each, full handshake with client certificate, no resumption
  --protocol LIST    of ${HTTP_PROTOCOLS.join(', ')}; default: both
  --requests N       that count, for each row; a tenth of them for connect  (default: 20000)
  --warm-up N        before those, for which V8 still compiles              (default: 20000)
  --concurrency N    requests at a time                                     (default: 32)
  --connections N    of HTTP/2; HTTP/1.1 needs one for each at a time       (default: 4)
  --runs N           new server each; prints medians and the spread         (default: 1)
  --workers N        processes that serve                                   (default: the server's)
  --audit            write the audit log, to /dev/null
  --verify           check client certificates against a CA (tls.auth: on)
  --reference        also measure Node alone, with the same cryptography: what this machine takes today for the least
                     that a server can do
  --load PROGRAM     another load generator, with flags -url -cert -key -op -name -c -conns -n -pid -h1
  --profile          also print, on stderr, where the server spends its time (it runs slower then)
  --json             one JSON line a row instead of tables
`

export interface ServeOptions {
  readonly operations: readonly Operation[]
  readonly protocols: readonly HttpProtocol[]
  readonly requests: number
  readonly warmUp: number
  readonly concurrency: number
  readonly connections: number
  readonly runs: number
  readonly workers: number | undefined
  readonly hasAudit: boolean
  readonly isVerified: boolean
  readonly loadProgram: string | undefined
  readonly hasReference: boolean
  readonly isProfiled: boolean
  readonly isJson: boolean
}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): ServeOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      op: { type: 'string', default: OPERATIONS.join(',') },
      protocol: { type: 'string', default: HTTP_PROTOCOLS.join(',') },
      requests: { type: 'string', default: '20000' },
      'warm-up': { type: 'string', default: '20000' },
      concurrency: { type: 'string', default: '32' },
      connections: { type: 'string', default: '4' },
      runs: { type: 'string', default: '1' },
      workers: { type: 'string' },
      load: { type: 'string' },
      audit: { type: 'boolean', default: false },
      verify: { type: 'boolean', default: false },
      reference: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    operations: parseChoices('op', values.op, OPERATIONS),
    protocols: parseChoices('protocol', values.protocol, HTTP_PROTOCOLS),
    requests: parseCount('requests', values.requests),
    warmUp: parseCount('warm-up', values['warm-up']),
    concurrency: parseCount('concurrency', values.concurrency),
    connections: parseCount('connections', values.connections),
    runs: parseCount('runs', values.runs),
    workers: values.workers === undefined ? undefined : parseCount('workers', values.workers),
    loadProgram: values.load,
    hasAudit: values.audit,
    isVerified: values.verify,
    hasReference: values.reference,
    isProfiled: values.profile,
    isJson: values.json,
  }
}
