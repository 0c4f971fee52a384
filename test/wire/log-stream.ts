/** A reader of a live log, or of another stream of lines, over either version of HTTP. */
import { connect } from 'node:http2'
import { Agent, get } from 'node:https'
import type { Readable } from 'node:stream'
import type { Credentials } from '../sandbox/certificates.ts'
import type { Protocol, TestServer } from '../sandbox/server.ts'

export interface LogReader {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Whole lines so far, parsed. */
  lines(): readonly unknown[]
  /** All bytes so far. */
  received(): number
  /** Whether the stream has ended, in whatever way. */
  isClosed(): boolean
  close(): void
}

interface Opened {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly stream: Readable
  readonly close: () => void
}

interface ReaderOptions {
  readonly as?: Credentials
  /** False: takes nothing off the connection after the headers. */
  readonly isReading?: boolean
}

/** Resolves when the headers have come. */
export function openLog(
  server: TestServer,
  log: 'audit' | 'error',
  protocol: Protocol,
  options: ReaderOptions = {},
): Promise<LogReader> {
  return openLines(server, `/v1/log/${log}`, protocol, options)
}

/** As {@link openLog}, for any path. */
export async function openLines(
  server: TestServer,
  path: string,
  protocol: Protocol,
  { as = server.admin, isReading = true }: ReaderOptions = {},
): Promise<LogReader> {
  const open = protocol === 'h2' ? openHttp2 : openHttp1
  const { status, headers, stream, close } = await open(server, path, as)
  const chunks: Buffer[] = []
  let hasClosed = false
  stream.on('close', () => {
    hasClosed = true
  })
  stream.on('error', () => {})
  if (isReading) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  else stream.pause()
  return {
    status,
    headers,
    lines: () =>
      Buffer.concat(chunks)
        .toString('utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    received: () => chunks.reduce((sum, { length }) => sum + length, 0),
    isClosed: () => hasClosed,
    close,
  }
}

function openHttp2({ url, ca }: TestServer, path: string, { key, cert }: Credentials): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { ca, key, cert })
    session.on('error', reject)
    const stream = session.request({ ':path': path })
    stream.on('error', reject)
    stream.on('response', ({ ':status': status = 0, ...headers }) => {
      resolve({ status, headers, stream, close: () => session.destroy() })
    })
  })
}

function openHttp1({ port, ca }: TestServer, path: string, { key, cert }: Credentials): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ key, cert, ca })
    const request = get({ host: '127.0.0.1', port, path, agent }, (stream) => {
      const { statusCode: status = 0, headers } = stream
      // A stream that is cut is told apart from one that the test closed by what the test did.
      request.on('error', () => {})
      resolve({ status, headers, stream, close: () => request.destroy() })
    })
    request.on('error', reject)
  })
}
