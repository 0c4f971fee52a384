/**
 * A console's server without a key server behind it, for what a real one can't be brought to do: names that no key or
 * identity may have, ten thousand keys in a moment, a thousand events a second. It serves the page that was built.
 */
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, resolve } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { ApiKey } from '@latchkey/kms-client'

export const PAGE = resolve(import.meta.dirname, '../../packages/console/dist')

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
  "font-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

export interface FakeKey {
  readonly name: string
  readonly state: string
  readonly created_at: string
  readonly created_by: string
  readonly revision: number
}

export interface FakeObject {
  readonly key: string
  readonly size: number
  readonly encryption: { readonly kind: string; readonly key_id: string } | null
}

export interface FakeEvent {
  readonly path: string
  readonly identity: string
  readonly code: number
}

type Answer = (request: IncomingMessage, reply: ServerResponse, rest: string) => unknown
const NONE: Answer = (_, reply) => refuse(reply, 404, 'NotFound', 'not found')

export class FakeConsole implements AsyncDisposable {
  readonly apiKey = ApiKey.generate()
  readonly origin: string
  readonly keys = new Map<string, FakeKey>()
  /** By bucket. */
  readonly objects = new Map<string, readonly FakeObject[]>()
  /** What `explain` answers, by object. */
  readonly explained = new Map<string, object>()
  readonly policies = new Map<string, object>()
  readonly identities: string[] = []
  /** What an upload is answered, once there is something. */
  readonly uploaded = Promise.withResolvers<object>()
  /** Method and path of everything that was asked with a session. */
  readonly asked: string[] = []
  readonly #server: ReturnType<typeof createServer>
  #token = randomBytes(32).toString('base64url')
  readonly #nonces = new Set<string>()
  readonly #watchers = new Set<ServerResponse>()
  readonly #readers = new Set<ServerResponse>()
  #epoch = 1

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, reply) => {
      this.#answer(request, reply).catch((error: unknown) => {
        reply.writeHead(500).end(JSON.stringify({ message: String(error), code: 'InternalError' }))
      })
    })
  }

  static async start(): Promise<FakeConsole> {
    const server = createServer()
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return new FakeConsole(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  addKey(name: string, state = 'enabled'): void {
    const created_at = new Date(Date.now() - 86_400_000).toISOString()
    this.keys.set(name, { name, state, created_at, created_by: this.apiKey.identity, revision: 1 })
  }

  /** As if somebody else had changed it. */
  change(name: string, state: string): void {
    const before = this.keys.get(name)
    if (before !== undefined) this.keys.set(name, { ...before, state, revision: before.revision + 1 })
    this.#epoch++
    const time = new Date().toISOString()
    this.#tell(this.#watchers, [{ event: 'change', name, state, epoch: this.#epoch, action: state, time }])
  }

  /** Resolves once the audit log has been asked for so often. What is emitted before is told to nobody. */
  async untilRead(times: number): Promise<void> {
    const count = () => this.asked.filter((call) => call.startsWith('GET /v1/log/audit')).length
    while (count() < times) await setTimeout(5)
  }

  emit(events: readonly FakeEvent[]): void {
    const time = new Date().toISOString()
    const lines = events.map(({ path, identity, code }) => ({
      time,
      request: { ip: '127.0.0.1', path, identity },
      response: { code, time: 1_200_000 },
    }))
    this.#tell(this.#readers, lines)
  }

  endSessions(): void {
    this.#token = randomBytes(32).toString('base64url')
  }

  /** As a restart of the server does. */
  cutStreams(): void {
    for (const reply of [...this.#watchers, ...this.#readers]) reply.destroy()
  }

  #tell(readers: ReadonlySet<ServerResponse>, lines: readonly object[]): void {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    for (const reply of readers) reply.write(text)
  }

  async #answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    if (!path.startsWith('/console/') && !path.startsWith('/v1/')) this.#file(path, reply)
    else if (path === '/console/nonce') send(reply, { nonce: this.#nonce(), expires_in: 60 })
    else if (path === '/console/login') this.#logIn((await json(request)) as Login, reply)
    else if (request.headers.authorization === `Bearer ${this.#token}`) await this.#api(request, reply, path)
    else refuse(reply, 401, 'SessionRequired', 'no session')
  }

  async #api(request: IncomingMessage, reply: ServerResponse, path: string): Promise<void> {
    this.asked.push(`${request.method} ${request.url}`)
    const call = `${request.method} ${path}`
    const [start, answer] = Object.entries(this.#answers).find(([each]) => call.startsWith(each)) ?? [
      '',
      NONE,
    ]
    const answered = await answer(request, reply, decodeURIComponent(call.slice(start.length)))
    if (answered !== undefined) send(reply, answered)
  }

  #file(path: string, reply: ServerResponse): void {
    const file = join(PAGE, path === '/' ? 'index.html' : path)
    if (existsSync(file)) {
      reply.writeHead(200, { 'content-type': TYPES[extname(file)] ?? '', 'content-security-policy': POLICY })
      reply.end(readFileSync(file))
    } else refuse(reply, 404, 'NotFound', 'not found')
  }

  #nonce(): string {
    const nonce = randomBytes(32).toString('base64url')
    this.#nonces.add(nonce)
    return nonce
  }

  #logIn({ nonce, public_key, signature }: Login, reply: ServerResponse): void {
    const x = Buffer.from(public_key, 'base64').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    const message = Buffer.from(`latchkey console login v1\n${this.origin}\n${nonce}\n`)
    const identity = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex')
    const isProven = verify(null, message, key, Buffer.from(signature, 'base64'))
    if (this.#nonces.delete(nonce) && isProven && identity === this.apiKey.identity) {
      send(reply, { token: this.#token, identity, admin: true, policy: null, expires_in: 900 })
    } else refuse(reply, 401, 'LoginRefused', 'the login is refused')
  }

  #stream(readers: Set<ServerResponse>, reply: ServerResponse): void {
    reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
    reply.flushHeaders()
    readers.add(reply)
    reply.on('close', () => readers.delete(reply))
  }

  /** By method and start of the path; what they return is sent as JSON. */
  readonly #answers: Readonly<Record<string, Answer>> = {
    'POST /console/logout': () => ({}),
    'GET /console/info': () => ({
      version: '0.1.0',
      endpoint: 'https://127.0.0.1:7373',
      workers: 1,
      store: 'sqlite',
      identity: this.apiKey.identity,
      admin: true,
      policy: null,
      node: { endpoint: 'http://127.0.0.1:9000' },
      sandbox: true,
      certificate_expires: null,
    }),
    'GET /v1/key/watch/': (_, reply) => {
      this.#stream(this.#watchers, reply)
      const snapshot = [...this.keys.values()].map(({ name, state }) => ({ event: 'snapshot', name, state }))
      this.#tell(new Set([reply]), [...snapshot, { event: 'snapshot-end', epoch: this.#epoch }])
    },
    'GET /v1/log/audit': (_, reply) => this.#stream(this.#readers, reply),
    'GET /v1/key/list/': (_request, _reply, argument) => {
      const after = argument.slice(argument.indexOf('*') + 1)
      const all = [...this.keys.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      const rest = argument === '' ? all : all.filter(({ name }) => name > after)
      const keys = rest.slice(0, 1000)
      return { keys, ...(rest.length > 1000 && { continue_at: `*${keys.at(-1)?.name}` }) }
    },
    'GET /v1/key/describe/': (_request, reply, name) =>
      this.keys.get(name) ?? refuse(reply, 404, 'KeyNotFound', 'key does not exist'),
    'GET /v1/key/history/': () => ({ entries: [] }),
    'GET /v1/policy/list/': () => ({ names: [...this.policies.keys()] }),
    'GET /v1/policy/read/': (_request, _reply, name) => this.policies.get(name),
    'GET /v1/identity/list/': () => ({ identities: this.identities }),
    'GET /v1/identity/describe/': () => ({ policy: [...this.policies.keys()][0] }),
    'GET /v1/api': () => [{ method: 'PUT', path: '/v1/key/generate/' }],
    'POST /console/policy/explain': async (request) => {
      const { path } = (await json(request)) as { path: string }
      return { allowed: false, status: 403, reason: `rule '${path}' denies it`, rule: path, hint: path }
    },
    'GET /console/node/buckets': () => ({
      buckets: [...this.objects.keys()].map((name) => ({
        name,
        created: new Date().toISOString(),
        encryption: null,
      })),
    }),
    'GET /console/node/objects/': (_request, _reply, bucket) => ({
      objects: (this.objects.get(bucket) ?? []).map((object) => ({
        ...object,
        etag: '',
        modified: new Date().toISOString(),
      })),
      prefixes: [],
      next: null,
    }),
    'PUT /console/node/object/': () => this.uploaded.promise,
    'GET /console/node/objects-of-key/': () => {
      const objects = [...this.objects].flatMap(([bucket, all]) =>
        all.map(({ key, size }) => ({ bucket, key, size, kind: 'SSE-KMS' })),
      )
      return { count: objects.length, bytes: 1, objects, truncated: false }
    },
    'GET /console/node/explain/': (_request, _reply, path) => this.explained.get(path),
  }
}

interface Login {
  readonly nonce: string
  readonly public_key: string
  readonly signature: string
}

function send(reply: ServerResponse, body: unknown): void {
  reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function refuse(reply: ServerResponse, status: number, code: string, message: string): void {
  reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message, code }))
}
