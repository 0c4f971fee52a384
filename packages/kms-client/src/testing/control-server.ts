/**
 * The control API of a sandbox for programs in other languages: HTTP and JSON on the loopback interface, for whoever
 * has the token. docs/testing.md describes it.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KesApiError } from '../api-error.ts'
import type { FaultOptions } from './fault-options.ts'
import type { KesSandbox } from './sandbox.ts'

const { createServer } = process.getBuiltinModule('node:http')
const HOST = '127.0.0.1'
const BODY_BYTES_MAX = 1_000_000

export interface ControlServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** For `Authorization: Bearer <token>`. */
  readonly token: string
}

/** A refusal, in words for whoever wrote the request. */
class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface ControlCall {
  /** What stands in the path in place of `:name` or `:id`. */
  readonly argument: string
  readonly query: URLSearchParams
  readonly body: () => Promise<unknown>
}

type Control = (kes: KesSandbox, call: ControlCall) => Promise<unknown>

/** Method and path; what each returns is its answer, as JSON. */
const CONTROLS: readonly (readonly [method: string, path: string, control: Control])[] = [
  ['PUT', '/keys/:name', (kes, { argument }) => kes.create(argument)],
  ['POST', '/keys/:name/lock', (kes, { argument }) => kes.lock(argument)],
  ['POST', '/keys/:name/unlock', (kes, { argument }) => kes.unlock(argument)],
  ['DELETE', '/keys/:name', (kes, { argument }) => kes.erase(argument)],
  ['GET', '/faults', (kes) => kes.faults.list()],
  ['POST', '/faults', addFault],
  ['DELETE', '/faults', (kes) => kes.faults.clear()],
  ['DELETE', '/faults/:id', clearFault],
  ['GET', '/requests', listRequests],
  ['DELETE', '/requests', (kes) => kes.clearRequests()],
  ['POST', '/certificate/rotate', (kes) => kes.rotateCertificate()],
  ['POST', '/reset', (kes) => kes.reset()],
]

async function addFault(kes: KesSandbox, { body }: ControlCall): Promise<unknown> {
  // Checked by add(), field by field.
  const { id } = await kes.faults.add((await body()) as FaultOptions)
  return { id }
}

async function clearFault(kes: KesSandbox, { argument }: ControlCall): Promise<void> {
  const faults = await kes.faults.list()
  const found = faults.find(({ id }) => String(id) === argument)
  if (found === undefined) throw new ControlError(404, `there is no fault ${argument}`)
  await kes.faults.remove(found.id)
}

async function listRequests(kes: KesSandbox, { query }: ControlCall): Promise<unknown> {
  const unknown = [...query.keys()].find((name) => name !== 'path' && name !== 'method')
  if (unknown !== undefined)
    throw new ControlError(400, `requests are asked for by path and method, not ${unknown}`)
  const [paths, methods] = [query.getAll('path'), query.getAll('method')]
  return await kes.requests({
    ...(paths.length > 0 ? { paths } : {}),
    ...(methods.length > 0 ? { methods } : {}),
  })
}

/** Serves until it is disposed of, which does not stop the sandbox. */
export async function serveControl(kes: KesSandbox): Promise<ControlServer> {
  const token = randomBytes(24).toString('base64url')
  const server = createServer((request, response) => {
    answer(kes, token, request).then(
      (result) => reply(response, 200, result ?? {}),
      (error: unknown) => reply(response, statusOf(error), { message: messageOf(error) }),
    )
  })
  server.listen({ host: HOST, port: 0 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${port}`,
    token,
    [Symbol.asyncDispose]: () => close(server),
  }
}

async function close(server: Server): Promise<void> {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

async function answer(kes: KesSandbox, token: string, request: IncomingMessage): Promise<unknown> {
  if (!isRight(request.headers.authorization, token)) {
    throw new ControlError(401, 'send the token of the sandbox: Authorization: Bearer <control_token>')
  }
  const url = new URL(request.url ?? '/', `http://${HOST}`)
  const onPath = CONTROLS.flatMap(([method, path, control]) => {
    const argument = argumentOf(path, url.pathname)
    return argument === undefined ? [] : [{ method, control, argument }]
  })
  const found = onPath.find(({ method }) => method === request.method)
  if (found === undefined) {
    const methods = onPath.map(({ method }) => method).join(', ')
    if (onPath.length > 0) throw new ControlError(405, `${url.pathname} takes ${methods}`)
    throw new ControlError(404, `there is nothing at ${url.pathname}`)
  }
  const { control, argument } = found
  return await control(kes, { argument, query: url.searchParams, body: () => readJson(request) })
}

function isRight(header: string | undefined, token: string): boolean {
  const [given, expected] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)]
  return given.length === expected.length && timingSafeEqual(given, expected)
}

/** @returns undefined if the path is another one; empty if it has no argument. */
function argumentOf(pattern: string, path: string): string | undefined {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  if (wanted.length !== given.length) return undefined
  let argument = ''
  for (const [index, part] of wanted.entries()) {
    const found = given[index] ?? ''
    if (part.startsWith(':')) argument = decode(found)
    else if (part !== found) return undefined
  }
  return argument
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new ControlError(400, `'${part}' is not escaped as URLs are`)
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) throw new ControlError(413, `a body has up to ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new ControlError(400, 'the body is not JSON')
  }
}

/** What the key server refuses keeps its status; a TypeError is about what was asked. */
function statusOf(error: unknown): number {
  if (error instanceof ControlError || error instanceof KesApiError) return error.status
  return error instanceof TypeError ? 400 : 500
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}
