/**
 * The server's replies as typed values.
 *
 * Times stay texts (RFC 3339, UTC, up to nine digits of a second), because a Date would cut them to milliseconds.
 * What is optional here is absent from the replies of a Go KES, or not always there.
 */
import { JsonReply } from './json-reply.ts'
import type { TransportReply } from './transport/transport.ts'

export type KeyAlgorithm = 'AES256' | 'ChaCha20'
/** A Go KES knows no states; a later server may know further ones. */
export type KeyState = 'enabled' | 'disabled' | 'pending' | (string & {})

export interface ServerVersion {
  readonly version: string
  /** 40 hex digits, or a text such as `<unknown>`. */
  readonly commit: string
}

export interface ServerStatus {
  readonly version: string
  /** As Go names them: `linux`, `amd64`. */
  readonly os: string
  readonly arch: string
  readonly uptimeSeconds: number
  readonly cpus: number
  readonly cpusUsed: number
  readonly heapUsedBytes: number
  readonly stackUsedBytes: number
  /** Absent while the key store does not answer. */
  readonly keyStoreLatencyMs?: number
  readonly isKeyStoreAvailable: boolean
  readonly isKeyStoreReachable: boolean
}

export interface Api {
  readonly method: string
  /** With a `/` at the end if an argument follows. */
  readonly path: string
  /** 0: the call has no body. */
  readonly bodyBytesMax: number
  /** 0: there is no limit. */
  readonly timeoutSeconds: number
}

export interface KeyInfo {
  readonly name: string
  readonly algorithm: KeyAlgorithm | (string & {})
  /** `0001-01-01T00:00:00Z` or `1970-01-01T00:00:00Z` for keys from before KES kept the time. */
  readonly createdAt: string
  /** An identity. */
  readonly createdBy?: string
  readonly state?: KeyState
  /** Moves with every change of the key. */
  readonly revision?: number
  readonly changedAt?: string
  readonly changedBy?: string
  /** When the key was last asked for, as far as the server knows. */
  readonly lastUsedAt?: string
  /** When the key will be erased, at the earliest; only while it is pending deletion. */
  readonly deletionAt?: string
}

/** A key whose record the server can't trust: its uses fail, and it can be disabled and deleted. */
export interface DamagedKeyInfo {
  readonly name: string
  readonly state: 'damaged'
}

/** What became of the keys that a pattern names. */
export interface KeysChanged {
  readonly matched: number
  /** Those that had the other state before. */
  readonly changed: number
  /** Those whose record is damaged: they were left as they are, and can't be used in any state. */
  readonly damaged: number
  /** Those that are pending deletion: the same. */
  readonly pending: number
}

/** A data key (DEK): fresh random bytes, and the same encrypted under the named key. */
export interface DataKey {
  /** 32 bytes, for memory only. */
  readonly plaintext: Uint8Array
  /** Safe to store next to the data. */
  readonly ciphertext: Uint8Array
}

export interface PolicyInfo {
  readonly name: string
  /** The server's start, because policies stand in its configuration. */
  readonly createdAt: string
  readonly createdBy?: string
}

/** Patterns of API paths. A deny wins; what no pattern allows is refused. */
export interface Policy extends PolicyInfo {
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

export interface IdentityInfo {
  /** The admin may call everything and has no policy. */
  readonly isAdmin: boolean
  readonly policy?: string
  readonly createdAt: string
  readonly createdBy?: string
}

export interface SelfInfo extends IdentityInfo {
  readonly identity: string
  /** Of the policy; empty for the admin. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

export interface AuditEvent {
  readonly time: string
  readonly ip?: string
  /** Who called; absent if it presented no certificate. */
  readonly identity?: string
  readonly path: string
  readonly status: number
  /** Nanoseconds, but whole milliseconds from the last release of the Go KES. */
  readonly responseTime: number
}

export interface ErrorEvent {
  /** A line of the server's error log. */
  readonly message: string
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** The argument of the next page's request; absent on the last one. */
  readonly continueAt?: string
}

export function decodeVersion(call: string, { body }: TransportReply): ServerVersion {
  const reply = JsonReply.parse(call, body.toString())
  return { version: reply.text('version'), commit: reply.textIfAny('commit') ?? '' }
}

export function decodeStatus(call: string, { body }: TransportReply): ServerStatus {
  const reply = JsonReply.parse(call, body.toString())
  const isKeyStoreReachable = !reply.flag('keystore_unreachable')
  return {
    version: reply.text('version'),
    os: reply.text('os'),
    arch: reply.text('arch'),
    uptimeSeconds: reply.numberIfAny('uptime') ?? 0,
    cpus: reply.numberIfAny('num_cpu') ?? 0,
    cpusUsed: reply.numberIfAny('num_cpu_used') ?? 0,
    heapUsedBytes: reply.numberIfAny('mem_heap_used') ?? 0,
    stackUsedBytes: reply.numberIfAny('mem_stack_used') ?? 0,
    ...present({ keyStoreLatencyMs: reply.numberIfAny('keystore_latency') }),
    isKeyStoreAvailable: isKeyStoreReachable && !reply.flag('keystore_unavailable'),
    isKeyStoreReachable,
  }
}

export function decodeApis(call: string, { body }: TransportReply): Api[] {
  return JsonReply.parseList(call, body.toString()).map((reply) => ({
    method: reply.text('method'),
    path: reply.text('path'),
    bodyBytesMax: reply.numberIfAny('max_body') ?? 0,
    timeoutSeconds: reply.numberIfAny('timeout') ?? 0,
  }))
}

export function decodeKeyInfo(call: string, { body }: TransportReply): KeyInfo {
  return keyInfo(JsonReply.parse(call, body.toString()))
}

/** The reply to a delete: the key as it waits, or nothing, if it is erased. */
export function decodeDeletion(call: string, reply: TransportReply): KeyInfo | undefined {
  return reply.body.length === 0 ? undefined : decodeKeyInfo(call, reply)
}

export function decodeKeysChanged(call: string, { body }: TransportReply): KeysChanged {
  const reply = JsonReply.parse(call, body.toString())
  return {
    matched: reply.number('matched'),
    changed: reply.number('changed'),
    damaged: reply.numberIfAny('damaged') ?? 0,
    pending: reply.numberIfAny('pending') ?? 0,
  }
}

export function decodeDataKey(call: string, { body }: TransportReply): DataKey {
  const reply = JsonReply.parse(call, body.toString())
  return { plaintext: reply.bytes('plaintext'), ciphertext: reply.bytes('ciphertext') }
}

export function decodeBytes(field: string): (call: string, reply: TransportReply) => Uint8Array {
  return (call, { body }) => JsonReply.parse(call, body.toString()).bytes(field)
}

export function decodePolicyInfo(call: string, { body }: TransportReply): PolicyInfo {
  return policyInfo(JsonReply.parse(call, body.toString()))
}

export function decodePolicy(call: string, { body }: TransportReply): Policy {
  const reply = JsonReply.parse(call, body.toString())
  return { ...policyInfo(reply), ...rules(reply) }
}

export function decodeIdentityInfo(call: string, { body }: TransportReply): IdentityInfo {
  return identityInfo(JsonReply.parse(call, body.toString()))
}

export function decodeSelfInfo(call: string, { body }: TransportReply): SelfInfo {
  const reply = JsonReply.parse(call, body.toString())
  return { identity: reply.text('identity'), ...identityInfo(reply), ...rules(reply) }
}

/**
 * A page of names, which stand in `field`. KES before 2023 sends a line `{"name":"…"}` for each, and no pages.
 */
export function decodeNames(field: string): (call: string, reply: TransportReply) => Page<string> {
  return (call, { contentType, body }) => {
    const text = body.toString()
    if (contentType?.startsWith('application/x-ndjson')) {
      const lines = text.split('\n').filter((line) => line.trim() !== '')
      return { items: lines.map((line) => JsonReply.parse(call, line).text('name')) }
    }
    const reply = JsonReply.parse(call, text)
    return { items: reply.texts(field), ...present({ continueAt: reply.textIfAny('continue_at') }) }
  }
}

export function decodeKeyDetails(call: string, { body }: TransportReply): Page<KeyInfo | DamagedKeyInfo> {
  const reply = JsonReply.parse(call, body.toString())
  const items = reply
    .objects('keys')
    .map((key) =>
      key.textIfAny('state') === 'damaged'
        ? ({ name: key.text('name'), state: 'damaged' } as const)
        : keyInfo(key),
    )
  return { items, ...present({ continueAt: reply.textIfAny('continue_at') }) }
}

export function decodeAuditEvent(call: string, line: string): AuditEvent {
  const event = JsonReply.parse(call, line)
  const request = event.object('request')
  const response = event.object('response')
  return {
    time: event.text('time'),
    ...present({ ip: request.textIfAny('ip'), identity: request.textIfAny('identity') }),
    path: request.text('path'),
    status: response.number('code'),
    responseTime: response.numberIfAny('time') ?? 0,
  }
}

export function decodeErrorEvent(call: string, line: string): ErrorEvent {
  return { message: JsonReply.parse(call, line).text('message') }
}

function keyInfo(reply: JsonReply): KeyInfo {
  return {
    name: reply.text('name'),
    algorithm: reply.text('algorithm'),
    createdAt: reply.text('created_at'),
    ...present({
      createdBy: reply.textIfAny('created_by'),
      state: reply.textIfAny('state'),
      revision: reply.numberIfAny('revision'),
      changedAt: reply.textIfAny('changed_at'),
      changedBy: reply.textIfAny('changed_by'),
      deletionAt: reply.textIfAny('deletion_at'),
      lastUsedAt: reply.textIfAny('last_used_at'),
    }),
  }
}

function policyInfo(reply: JsonReply): PolicyInfo {
  return {
    name: reply.text('name'),
    createdAt: reply.text('created_at'),
    ...present({ createdBy: reply.textIfAny('created_by') }),
  }
}

function rules(reply: JsonReply): Pick<Policy, 'allow' | 'deny'> {
  return { allow: reply.keysOf('allow'), deny: reply.keysOf('deny') }
}

function identityInfo(reply: JsonReply): IdentityInfo {
  return {
    isAdmin: reply.flag('admin'),
    createdAt: reply.text('created_at'),
    ...present({ policy: reply.textIfAny('policy'), createdBy: reply.textIfAny('created_by') }),
  }
}

/** The fields that have a value. */
function present<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> }
}
