/** Runs the `kes` command line in this process, against a key server that is an object. */
import {
  IdentityNotFoundError,
  KeyExistsError,
  KeyNotFoundError,
  NotAuthenticError,
  PolicyNotFoundError,
  type SealSecret,
  WrongStateError,
} from '@latchkey/kms-client'
import type { Client, Io } from '../../packages/kes-server/src/cli/io.ts'
import { runCli } from '../../packages/kes-server/src/cli/program.ts'

/** The API key and identity of a row of `vectors/kes/api-keys.json`. */
export const API_KEY = 'kes:v1:AAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'
export const IDENTITY = 'a050837d85070582ccf7394b0988847cc312cb88259b894899f6f239cf1791a5'
export const ADMIN = '44f9202c928caeb7345bb10a80ee7f5551714537a085214e792ec3d241599854'
export const CREATED_AT = '2026-11-24T01:50:57.444949513Z'
export const DELETION_AT = '2026-12-01T01:50:57.444Z'

type Key = Awaited<ReturnType<Client['describeKey']>>
type Status = Awaited<ReturnType<Client['status']>>
type OpenClientOptions = Parameters<Io['openClient']>[0]

export const STATUS: Status = {
  version: '1.0.0',
  os: 'linux',
  arch: 'amd64',
  uptimeSeconds: 9 * 60 + 3,
  cpus: 2,
  cpusUsed: 2,
  heapUsedBytes: 5_060_000,
  stackUsedBytes: 524_288,
  keyStoreLatencyMs: 1,
  isKeyStoreAvailable: true,
  isKeyStoreReachable: true,
}

export function key(name: string, fields: Partial<Key> = {}): Key {
  return {
    name,
    algorithm: 'AES256',
    createdAt: CREATED_AT,
    createdBy: ADMIN,
    state: 'enabled',
    revision: 1,
    changedAt: CREATED_AT,
    changedBy: ADMIN,
    ...fields,
  }
}

const keyNotFound = () => new KeyNotFoundError(404, 'key does not exist', 'KeyNotFound')

function shown(secret: SealSecret): string {
  return 'passphrase' in secret
    ? `passphrase ${Buffer.from(secret.passphrase)}`
    : `key file of ${secret.keyFile.length} bytes`
}

/** A key server with one policy, `my-app`, and no cryptography: a ciphertext is the plaintext, reversed. */
export class FakeKes implements Client {
  readonly keys: Map<string, Key>
  /** Every call with its arguments, in order. */
  readonly calls: string[] = []

  constructor(...keys: Key[]) {
    this.keys = new Map(keys.map((each) => [each.name, each]))
  }

  async version() {
    return { version: '1.0.0', commit: '<unknown>' }
  }

  async ready() {}

  async status() {
    return STATUS
  }

  async metrics(): ReturnType<Client['metrics']> {
    return {
      requestsSucceeded: 597,
      requestsRefused: 184,
      requestsFailed: 4,
      requestsActive: 0,
      responseTime: {
        buckets: [
          { upToSeconds: 0.01, count: 786 },
          { upToSeconds: 10, count: 789 },
          { upToSeconds: Number.POSITIVE_INFINITY, count: 789 },
        ],
        sumSeconds: 0.789,
        count: 789,
      },
      errorLogEvents: 1,
      auditLogEvents: 1,
      upTimeSeconds: 558,
      cpus: 2,
      cpusUsed: 2,
      threads: 12,
      heapUsedBytes: 5_760_568,
      heapObjects: 36_192,
      stackUsedBytes: 491_520,
      families: new Map(),
      text: '',
    }
  }

  async apis() {
    return [
      { method: 'GET', path: '/v1/log/audit', bodyBytesMax: 0, timeoutSeconds: 0 },
      { method: 'PUT', path: '/v1/key/create/', bodyBytesMax: 0, timeoutSeconds: 15 },
      { method: 'PUT', path: '/v1/key/import/', bodyBytesMax: 1_000_000, timeoutSeconds: 15 },
    ]
  }

  async createKey(name: string, { reuse = false }: { reuse?: boolean } = {}) {
    this.calls.push(`create ${name}${reuse ? ' reuse' : ''}`)
    if (this.keys.has(name)) throw new KeyExistsError(400, 'key already exists', 'KeyExists')
    this.keys.set(name, key(name))
  }

  async importKey(name: string, bytes: Uint8Array, options: { cipher?: string } = {}) {
    this.calls.push(`import ${name} ${Buffer.from(bytes).toString('hex')} ${options.cipher ?? 'AES256'}`)
  }

  async describeKey(name: string) {
    return this.#key(name)
  }

  async deleteKey(name: string, { after }: { after?: string | undefined } = {}) {
    this.calls.push(after === undefined ? `delete ${name}` : `delete ${name} after ${after}`)
    if (after === undefined) {
      if (!this.keys.delete(name)) throw keyNotFound()
      return undefined
    }
    const waiting = { ...this.#key(name), state: 'pending', deletionAt: DELETION_AT }
    this.keys.set(name, waiting)
    return waiting
  }

  async cancelKeyDeletion(name: string) {
    this.calls.push(`cancel-deletion ${name}`)
    if (this.#key(name).state !== 'pending') {
      throw new WrongStateError(409, 'key is not pending deletion', 'WrongState')
    }
    this.keys.set(name, { ...key(name), state: 'disabled' })
  }

  async deleteKeyWithReceipt(name: string) {
    await this.deleteKey(name)
    return { name, erasedAt: CREATED_AT, erasedBy: IDENTITY, document: `{"name":"${name}"}\n` }
  }

  async erasureReceipt(name: string) {
    if (this.keys.has(name)) throw keyNotFound()
    return { name, erasedAt: CREATED_AT, erasedBy: IDENTITY, document: `{"name":"${name}"}\n` }
  }

  async *keyHistory(name: string) {
    this.calls.push(`history ${name}`)
    this.#key(name)
    yield {
      number: 7,
      time: CREATED_AT,
      action: 'create',
      name,
      keyId: '03'.repeat(16),
      algorithm: 'AES256',
      state: 'enabled',
      revision: 1,
      identity: IDENTITY,
      ip: '192.0.2.1',
      createdAt: CREATED_AT,
      createdBy: IDENTITY,
      storeId: '01'.repeat(16),
      previous: '02'.repeat(32),
      entry: Buffer.from('entry'),
      signature: Buffer.from('signature'),
    }
  }

  async journalHead() {
    return { storeId: '01'.repeat(16), number: 2, hash: 'ab'.repeat(32), publicKey: 'PEM\n' }
  }

  async *journalEntries() {
    yield { number: 1, name: '', entry: Buffer.from('one'), signature: Buffer.from('signed') }
    yield { number: 2, name: 'a', entry: Buffer.from('two'), signature: Buffer.from('signed') }
  }

  async createBackup(): ReturnType<Client['createBackup']> {
    this.calls.push('create backup')
    return { id: 'ab'.repeat(16), madeAt: CREATED_AT, head: `2:${'ab'.repeat(32)}`, keys: 1, bytes: 7 }
  }

  async *readBackup() {
    yield Buffer.from('content')
  }

  async dropBackup(id: string) {
    this.calls.push(`drop backup ${id}`)
  }

  async describeSeal(): ReturnType<Client['describeSeal']> {
    const facts = { createdAt: CREATED_AT, isOwn: false } as const
    return {
      rootGeneration: 1,
      slots: [
        { ...facts, id: 1, label: 'first', kind: 'key file', isOwn: true },
        {
          ...facts,
          id: 2,
          label: 'safe',
          kind: 'passphrase',
          argon2: { memoryKiB: 65536, passes: 3, parallelism: 4 },
        },
      ],
    }
  }

  async addSealSlot(...[unlock, secret, { label } = {}]: Parameters<Client['addSealSlot']>) {
    this.calls.push(`add slot '${label}' ${shown(secret)} unlocked by ${shown(unlock)}`)
    return { id: 3, isErased: true }
  }

  async removeSealSlot(id: number) {
    this.calls.push(`remove slot ${id}`)
    return { id, isErased: id !== 9 }
  }

  async changeSealPassphrase(...[before, next]: Parameters<Client['changeSealPassphrase']>) {
    this.calls.push(`change ${shown({ passphrase: before })} to ${shown({ passphrase: next })}`)
    return { id: 1, isErased: true }
  }

  async rotateRootKey(...[{ keep = new Map(), remove = [] } = {}]: Parameters<Client['rotateRootKey']>) {
    const kept = [...keep].map(([id, secret]) => `${id} by ${shown(secret)}`)
    this.calls.push(`rotate keep [${kept}] remove [${remove}]`)
  }

  async enableKey(name: string) {
    this.calls.push(`enable ${name}`)
    this.keys.set(name, { ...this.#key(name), state: 'enabled' })
  }

  async disableKey(name: string) {
    this.calls.push(`disable ${name}`)
    this.keys.set(name, { ...this.#key(name), state: 'disabled' })
  }

  async enableKeys(pattern: string) {
    return this.#changeAll('enable', pattern)
  }

  async disableKeys(pattern: string) {
    return this.#changeAll('disable', pattern)
  }

  async *listKeys(prefix = '') {
    yield* this.#matching(prefix)
  }

  async *listKeyDetails(prefix = '') {
    yield* this.#matching(prefix).map((name) => this.#key(name))
  }

  async generateKey(name: string, context?: Uint8Array) {
    this.#key(name)
    this.calls.push(`generate ${name} ${Buffer.from(context ?? []).toString()}`)
    return { plaintext: Buffer.from('plaintext'), ciphertext: Buffer.from('ciphertext') }
  }

  async encrypt(name: string, plaintext: Uint8Array) {
    this.#key(name)
    return Buffer.from(plaintext).reverse()
  }

  async decrypt(name: string, ciphertext: Uint8Array, context?: Uint8Array) {
    this.#key(name)
    if (context !== undefined) {
      throw new NotAuthenticError(400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
    }
    return Buffer.from(ciphertext).reverse()
  }

  async hmac() {
    return Buffer.alloc(32)
  }

  async describePolicy(name: string) {
    if (name !== 'my-app') throw new PolicyNotFoundError(404, 'policy does not exist', 'PolicyNotFound')
    return { name, createdAt: CREATED_AT, createdBy: ADMIN }
  }

  async readPolicy(name: string) {
    const allow = ['/v1/key/create/my-app*', '/v1/api']
    return { ...(await this.describePolicy(name)), allow, deny: ['/v1/key/generate/my-app-internal*'] }
  }

  async *listPolicies(prefix = '') {
    yield* ['my-app', 'ops'].filter((name) => name.startsWith(prefix.replace(/\*$/, '')))
  }

  async describeIdentity(identity: string) {
    if (identity === ADMIN) return { isAdmin: true, createdAt: CREATED_AT }
    if (identity === IDENTITY) {
      return { isAdmin: false, policy: 'my-app', createdAt: CREATED_AT, createdBy: ADMIN }
    }
    throw new IdentityNotFoundError(404, 'identity does not exist', 'IdentityNotFound')
  }

  async describeSelf(): ReturnType<Client['describeSelf']> {
    return {
      identity: IDENTITY,
      ...(await this.describeIdentity(IDENTITY)),
      allow: ['/v1/api'],
      deny: [],
    }
  }

  async *listIdentities() {
    yield* [ADMIN, IDENTITY]
  }

  async *watchKeys(
    prefix = '',
    { onOpen }: { onOpen?: (() => void) | undefined } = {},
  ): ReturnType<Client['watchKeys']> {
    this.calls.push(`watch ${prefix}`)
    onOpen?.()
    yield { event: 'snapshot', name: 'a', state: 'enabled', epoch: 2 }
    yield { event: 'snapshot', name: 'b', state: 'damaged' }
    yield { event: 'snapshot-end', epoch: 4 }
    const change = { event: 'change', name: 'a', time: CREATED_AT } as const
    yield { ...change, action: 'schedule', state: 'pending', epoch: 5, deletionAt: DELETION_AT }
    yield { ...change, action: 'erase', state: 'erased', epoch: 6 }
  }

  async *auditLog({ onOpen }: { onOpen?: (() => void) | undefined } = {}) {
    onOpen?.()
    const { ip, path } = { ip: '127.0.0.1', path: '/v1/key/create/my-key' }
    yield { time: CREATED_AT, ip, identity: IDENTITY, path, status: 200, responseTime: 1_035_537 }
    yield { time: CREATED_AT, path: '/v1/status', status: 400, responseTime: 900 }
  }

  async *errorLog({ onOpen }: { onOpen?: (() => void) | undefined } = {}) {
    onOpen?.()
    yield { message: 'time=… level=ERROR msg="it broke"' }
  }

  async close() {}
  async [Symbol.asyncDispose]() {}

  #key(name: string): Key {
    const found = this.keys.get(name)
    if (found === undefined) throw keyNotFound()
    return found
  }

  #matching(prefix: string): string[] {
    return [...this.keys.keys()].sort().filter((name) => name.startsWith(prefix.replace(/\*$/, '')))
  }

  #changeAll(verb: 'enable' | 'disable', pattern: string) {
    this.calls.push(`${verb} ${pattern}`)
    const matched = this.#matching(pattern)
    const state = `${verb}d`
    const pending = matched.filter((name) => this.#key(name).state === 'pending')
    const changed = matched.filter((name) => this.#key(name).state !== state && !pending.includes(name))
    for (const name of changed) this.keys.set(name, { ...this.#key(name), state })
    return { matched: matched.length, changed: changed.length, damaged: 0, pending: pending.length }
  }
}

export interface RunOptions {
  readonly env?: Record<string, string>
  readonly isTerminal?: boolean
  /** By default every server is the same one. */
  readonly kes?: Client | ((options: OpenClientOptions) => Client)
  readonly stdin?: string
  /** Answers to password prompts, in order. Without any there is no terminal. */
  readonly passwords?: string[]
  readonly interruption?: AbortSignal
  readonly now?: () => Date
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** What the clients were opened with. */
  readonly opened: readonly OpenClientOptions[]
  /** What passwords were asked for with. */
  readonly prompts: readonly string[]
}

/** @param args - separated by single spaces, or a list. */
export async function runKes(args: string | readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { kes = new FakeKes(), isTerminal = false, passwords = [] } = options
  const written = { stdout: '', stderr: '' }
  const opened: OpenClientOptions[] = []
  const prompts: string[] = []
  const output = (name: keyof typeof written) => ({
    isTerminal,
    write(text: string) {
      written[name] += text
    },
  })
  const code = await runCli(typeof args === 'string' ? args.split(' ').filter((each) => each) : args, {
    env: options.env ?? { MINIO_KES_API_KEY: API_KEY },
    stdout: output('stdout'),
    stderr: output('stderr'),
    readStdin: async () => options.stdin ?? '',
    readPassword: async (prompt) => {
      prompts.push(prompt)
      const password = passwords.shift()
      if (password === undefined) throw new Error('reading password: inappropriate ioctl for device')
      return password
    },
    now: options.now ?? (() => new Date(CREATED_AT)),
    interruption: options.interruption ?? new AbortController().signal,
    openClient: async (clientOptions) => {
      opened.push(clientOptions)
      return typeof kes === 'function' ? kes(clientOptions) : kes
    },
  })
  return { code, ...written, opened, prompts }
}
