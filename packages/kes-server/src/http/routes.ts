/**
 * The API in one table: method, path, limits, access, and how a request becomes an operation and its result a
 * reply. What `/v1/api` reports is read from this table.
 */

import type { BackupDesk } from '../backup/backup-desk.ts'
import { parsePeriod } from '../encoding/period.ts'
import {
  InvalidBodyError,
  InvalidNameError,
  InvalidParameterError,
  SlotNotFoundError,
  type StoreAction,
} from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import type { ChangedKeys, KeyRing } from '../keyring/key-ring.ts'
import type { RotationSlots, SealAdmin, Secret } from '../keyring/seal-admin.ts'
import { metricsProtobuf, metricsText } from '../metrics/exposition.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { ServerMetrics } from '../metrics/server-metrics.ts'
import {
  type Identity,
  type KeyName,
  parseIdentity,
  parseKeyName,
  parseListPrefix,
  parsePolicyName,
} from '../names.ts'
import { createBackup, dropBackup, readBackup } from '../operations/backup.ts'
import type { Caller } from '../operations/caller.ts'
import { cancelDeletion } from '../operations/cancel-deletion.ts'
import { createKey } from '../operations/create-key.ts'
import { decrypt } from '../operations/decrypt.ts'
import { deleteKey } from '../operations/delete-key.ts'
import { describeKey } from '../operations/describe-key.ts'
import { disableKey, disableKeys } from '../operations/disable-key.ts'
import { enableKey, enableKeys } from '../operations/enable-key.ts'
import { encrypt } from '../operations/encrypt.ts'
import { generateDataKey } from '../operations/generate-data-key.ts'
import { hmac } from '../operations/hmac.ts'
import { describeIdentity, describeSelf, listIdentities } from '../operations/identities.ts'
import { importKey } from '../operations/import-key.ts'
import { keyHistory, lastReceipt } from '../operations/key-history.ts'
import { listKeyDetails, listKeys, parseListArgument } from '../operations/list-keys.ts'
import { describePolicy, listPolicies, type Origin, readPolicy } from '../operations/policies.ts'
import { journalEntries, journalHead } from '../operations/read-journal.ts'
import { addSlot, changePassphrase, describeSeal, removeSlot, rotateRoot } from '../operations/seal.ts'
import { assertReady, describeStatus, type Version } from '../operations/server-status.ts'
import type { PolicySet } from '../policy/policy.ts'
import type { KeyStore } from '../store/key-store.ts'
import type { Hub } from '../workers/hub.ts'
import { type FieldKind, type Fields, MalformedBodyError, parseFields } from './json-body.ts'
import { bytesReply, jsonReply } from './json-reply.ts'
import { takeSecretField } from './secret-field.ts'

/** Who may do what, and how long it may take. A reload replaces all of it. */
export interface Rules {
  readonly policies: PolicySet
  readonly origin: Origin
  readonly overrides: ReadonlyMap<string, ApiOverride>
}

/** What operations work on. */
export interface Services extends Rules {
  readonly ring: KeyRing
  readonly store: KeyStore
  readonly journal: Journal
  readonly sealAdmin: SealAdmin
  readonly backups: BackupDesk
  /** Reseals what the root key before the current one has sealed, beside other work. */
  readonly startRotation: () => void
  /** What this process counts. */
  readonly metrics: Metrics
  readonly serverMetrics: ServerMetrics
  readonly hub: Hub
  readonly version: Version
}

/** What the config may change of one API. */
export interface ApiOverride {
  readonly skipAuth: boolean
  /** 0 keeps the API's own. */
  readonly timeoutMs: number
}

/** An authorized request. */
export interface Call {
  /** Decoded; what follows the path of a prefix route. */
  readonly argument: string
  readonly query: URLSearchParams
  readonly accept: string
  /** Undefined if the request has none. */
  readonly body: Buffer | undefined
  readonly identity: Identity | undefined
  /** The address that the request came from. */
  readonly ip: string
  /** By `performance.now()`: later it has been answered otherwise. */
  readonly latestMs: number
}

export type Reply =
  | { readonly body: Buffer; readonly contentType: string; readonly audit: string }
  | { readonly audit: string }

export type Access = 'public' | 'identity' | 'policy'
export type LogName = 'audit' | 'error'

export interface Api {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  /** Ends in `/` if an argument follows. */
  readonly path: string
  /** Bytes. */
  readonly maxBody: number
  /** 0: none. */
  readonly timeoutMs: number
  readonly access: Access
  readonly isCounted: boolean
  /** A stream that goes on instead of a reply: a live log, or the changes of keys. */
  readonly stream?: LogName | 'keys'
  /**
   * Set for what runs in the process that writes. What changes the store waits for a disk that takes writes; what
   * restricts the use of keys is answered when it holds in every process.
   */
  readonly change?: 'nothing' | 'extends' | 'restricts'
  /** What a change is called when the store can't be written; `change key` by default. */
  readonly action?: StoreAction
  /** Tells how the server is, and nothing else: the reply does not wait for its event to be in the audit file. */
  readonly isProbe?: boolean
  /** What no policy can grant, in the words of the server's log. */
  readonly adminOnly?: string
  /** The path that policies are asked about, if it is not the request's own. */
  readonly policyArgument?: (argument: string) => string
  /** A promise only where no key is used, or the reply waits for the disk after all else is done: see *The synchronous turn*. */
  readonly run: (services: Services, call: Call) => Reply | Promise<Reply>
}

const BODY_BYTES_MAX = 1_000_000
/** Some key files of 64 KiB, in base64. */
const SECRET_BODY_BYTES_MAX = 1_000_000
/** A passphrase takes a few seconds at the highest cost that is allowed, and there may be several. */
const SEAL_TIMEOUT_MS = 60_000
/** All rows are read before the reply. */
const BACKUP_TIMEOUT_MS = 300_000
const NO_BYTES = Buffer.alloc(0)
const JSON_TYPE = 'application/json'
const BYTES_TYPE = 'application/octet-stream'
const TEXT_METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores'
const PROTOBUF_METRICS_TYPE =
  'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'

type Route = Partial<Api> & Pick<Api, 'path' | 'run'>

const get = (route: Route): Api => ({ ...DEFAULTS, ...route })
const put = (route: Route): Api => ({ ...DEFAULTS, method: 'PUT', ...route })

const DEFAULTS = {
  method: 'GET',
  maxBody: 0,
  timeoutMs: 15_000,
  access: 'policy',
  isCounted: true,
} as const

export const APIS: readonly Api[] = [
  get({
    path: '/version',
    timeoutMs: 10_000,
    access: 'public',
    isCounted: false,
    run: ({ version }) => versionReply(version),
  }),
  get({
    path: '/v1/ready',
    isCounted: false,
    isProbe: true,
    async run({ store }) {
      await assertReady(store)
      return empty('readiness checked')
    },
  }),
  get({
    path: '/v1/status',
    isCounted: false,
    async run({ store, hub, version }) {
      return json('status read', await describeStatus(store, await hub.usage(), version))
    },
  }),
  get({
    path: '/v1/metrics',
    isCounted: false,
    async run({ hub }, { accept }) {
      const usage = await hub.usage()
      return /application\/vnd\.google\.protobuf.*encoding=delimited/.test(accept)
        ? { body: metricsProtobuf(usage), contentType: PROTOBUF_METRICS_TYPE, audit: 'metrics read' }
        : { body: Buffer.from(metricsText(usage)), contentType: TEXT_METRICS_TYPE, audit: 'metrics read' }
    },
  }),
  get({
    path: '/v1/metrics/latchkey',
    isCounted: false,
    change: 'nothing', // The process that writes knows of all the others.
    run: ({ serverMetrics }) => ({
      body: Buffer.from(serverMetrics.text()),
      contentType: TEXT_METRICS_TYPE,
      audit: "Latchkey's metrics read",
    }),
  }),
  get({
    path: '/v1/api',
    timeoutMs: 10_000,
    isCounted: false,
    run: ({ overrides }) => json('list of APIs read', describeApis(overrides)),
  }),

  put({
    path: '/v1/key/create/',
    change: 'extends',
    action: 'create key',
    run({ ring, policies }, call) {
      const name = parseKeyName(call.argument)
      createKey(ring, name, callerOf(policies, call), parseFlag(call.query, 'reuse'))
      return empty(`secret key '${name}' created`)
    },
  }),
  put({
    path: '/v1/key/import/',
    change: 'extends',
    action: 'create key',
    maxBody: BODY_BYTES_MAX,
    run({ ring, policies }, call) {
      const name = parseKeyName(call.argument)
      const { key, cipher } = parseImport(call.body)
      importKey(ring, name, callerOf(policies, call), cipher, key)
      return empty(`secret key '${name}' created`)
    },
  }),
  get({
    path: '/v1/key/describe/',
    async run({ ring, hub }, { argument }) {
      const name = parseKeyName(argument)
      await hub.gatherUses()
      return json(`secret key '${name}' described`, describeKey(ring, name))
    },
  }),
  {
    ...DEFAULTS,
    method: 'DELETE',
    path: '/v1/key/delete/',
    change: 'restricts',
    action: 'delete key',
    async run({ ring, policies }, call) {
      const name = parseKeyName(call.argument)
      const waitingMs = parsePeriodOf(call.query, 'after')
      const wantsReceipt = parseFlag(call.query, 'receipt')
      const deleted = await deleteKey(ring, name, callerOf(policies, call), { waitingMs, wantsReceipt })
      if ('waiting' in deleted) return json(`deletion of secret key '${name}' scheduled`, deleted.waiting)
      const audit = `secret key '${name}' deleted`
      return wantsReceipt ? json(audit, deleted.receipt) : empty(audit)
    },
  },
  put({
    path: '/v1/key/cancel-deletion/',
    change: 'extends',
    run({ ring, policies }, call) {
      const name = parseKeyName(call.argument)
      cancelDeletion(ring, name, callerOf(policies, call))
      return empty(`deletion of secret key '${name}' canceled`)
    },
  }),
  put({
    path: '/v1/key/enable/',
    change: 'extends',
    run: (services, call) => changeState(services, call, 'enable', enableKey, enableKeys),
  }),
  put({
    path: '/v1/key/disable/',
    change: 'restricts',
    run: (services, call) => changeState(services, call, 'disable', disableKey, disableKeys),
  }),
  get({
    path: '/v1/key/list/',
    policyArgument: withoutContinuation,
    async run({ ring, hub }, { argument, query }) {
      const listing = parseListArgument(argument)
      const hasDetails = parseFlag(query, 'details')
      if (hasDetails) await hub.gatherUses()
      return json('secret keys listed', hasDetails ? listKeyDetails(ring, listing) : listKeys(ring, listing))
    },
  }),
  get({
    path: '/v1/key/watch/',
    timeoutMs: 0,
    isCounted: false,
    stream: 'keys',
    run(_, { argument }) {
      parseListPrefix(argument)
      return empty('watch of secret keys opened')
    },
  }),
  get({
    path: '/v1/key/history/',
    run({ ring }, { argument, query }) {
      const name = parseKeyName(argument)
      if (parseFlag(query, 'receipt'))
        return json(`receipt of secret key '${name}' read`, lastReceipt(ring, name))
      return json(`history of secret key '${name}' read`, keyHistory(ring, name, parseAfter(query)))
    },
  }),
  put({
    path: '/v1/key/generate/',
    maxBody: BODY_BYTES_MAX,
    run({ ring }, { argument, body }) {
      const name = parseKeyName(argument)
      const context = body === undefined ? NO_BYTES : parseBody(body, { context: 'bytes' }).context
      const { plaintext, ciphertext } = generateDataKey(ring, name, context)
      const reply = bytesReply(['plaintext', plaintext], ['ciphertext', ciphertext])
      plaintext.fill(0)
      return { body: reply, contentType: JSON_TYPE, audit: `data key generated with '${name}'` }
    },
  }),
  put({
    path: '/v1/key/encrypt/',
    maxBody: BODY_BYTES_MAX,
    run({ ring }, { argument, body }) {
      const name = parseKeyName(argument)
      const { plaintext, context } = parseBody(body, { plaintext: 'bytes', context: 'bytes' })
      return bytes(`encrypted with '${name}'`, 'ciphertext', encrypt(ring, name, plaintext, context))
    },
  }),
  put({
    path: '/v1/key/decrypt/',
    maxBody: BODY_BYTES_MAX,
    run({ ring }, { argument, body }) {
      const name = parseKeyName(argument)
      const { ciphertext, context } = parseBody(body, { ciphertext: 'bytes', context: 'bytes' })
      const plaintext = decrypt(ring, name, ciphertext, context)
      const reply = bytes(`decrypted with '${name}'`, 'plaintext', plaintext)
      plaintext.fill(0)
      return reply
    },
  }),
  put({
    path: '/v1/key/hmac/',
    maxBody: BODY_BYTES_MAX,
    run({ ring }, { argument, body }) {
      const name = parseKeyName(argument)
      const { message } = parseBody(body, { message: 'bytes' })
      return bytes(`HMAC computed with '${name}'`, 'hmac', hmac(ring, name, message))
    },
  }),

  get({
    path: '/v1/policy/describe/',
    run({ policies, origin }, { argument }) {
      const name = parsePolicyName(argument)
      return json(`policy '${name}' described`, describePolicy(policies, origin, name))
    },
  }),
  get({
    path: '/v1/policy/read/',
    run({ policies, origin }, { argument }) {
      const name = parsePolicyName(argument)
      return json(`policy '${name}' read`, readPolicy(policies, origin, name))
    },
  }),
  get({
    path: '/v1/policy/list/',
    run: ({ policies }, { argument }) => json('policies listed', listPolicies(policies, argument)),
  }),
  get({
    path: '/v1/identity/describe/',
    run({ policies, origin }, { argument }) {
      const identity = parseIdentity(argument)
      return json(`identity '${identity}' described`, describeIdentity(policies, origin, identity))
    },
  }),
  get({
    path: '/v1/identity/list/',
    run: ({ policies }, { argument }) => json('identities listed', listIdentities(policies, argument)),
  }),
  get({
    path: '/v1/identity/self/describe',
    access: 'identity',
    run: ({ policies, origin }, { identity }) =>
      json('own identity described', describeSelf(policies, origin, identity)),
  }),

  get({
    path: '/v1/journal/head',
    run: ({ journal }) => json('head of the journal read', journalHead(journal)),
  }),
  get({
    path: '/v1/journal/entries',
    run: ({ journal }, { query }) => json('journal read', journalEntries(journal, parseAfter(query))),
  }),

  get({
    path: '/v1/seal/describe',
    adminOnly: 'the seal',
    change: 'nothing', // The process that writes knows how a rotation stands.
    run: ({ sealAdmin }) => json('seal described', describeSeal(sealAdmin)),
  }),
  put({
    path: '/v1/seal/add-slot',
    adminOnly: 'the seal',
    change: 'extends',
    action: 'change seal',
    maxBody: SECRET_BODY_BYTES_MAX,
    timeoutMs: SEAL_TIMEOUT_MS,
    async run({ sealAdmin, policies }, call) {
      const fields = parseBody(call.body, {
        unlock_passphrase: 'bytes',
        unlock_key_file: 'bytes',
        passphrase: 'bytes',
        key_file: 'bytes',
        label: 'string',
      })
      call.body?.fill(0)
      const unlock = secretOf(fields.unlock_passphrase, fields.unlock_key_file)
      const secret = secretOf(fields.passphrase, fields.key_file)
      const added = await addSlot(sealAdmin, callerOf(policies, call), unlock, secret, fields.label)
      return json(`slot ${added.id} added to the seal`, added)
    },
  }),
  put({
    path: '/v1/seal/remove-slot/',
    adminOnly: 'the seal',
    change: 'extends',
    action: 'change seal',
    timeoutMs: SEAL_TIMEOUT_MS,
    async run({ sealAdmin, policies }, call) {
      const removed = await removeSlot(sealAdmin, callerOf(policies, call), parseSlotId(call.argument))
      return json(`slot ${removed.id} removed from the seal`, removed)
    },
  }),
  put({
    path: '/v1/seal/change-passphrase',
    adminOnly: 'the seal',
    change: 'extends',
    action: 'change seal',
    maxBody: SECRET_BODY_BYTES_MAX,
    timeoutMs: SEAL_TIMEOUT_MS,
    async run({ sealAdmin, policies }, call) {
      const { passphrase, new_passphrase: next } = parseBody(call.body, {
        passphrase: 'bytes',
        new_passphrase: 'bytes',
      })
      call.body?.fill(0)
      const changed = await changePassphrase(sealAdmin, callerOf(policies, call), passphrase, next)
      return json(`passphrase of slot ${changed.id} changed`, changed)
    },
  }),
  put({
    path: '/v1/seal/rotate-root',
    adminOnly: 'the seal',
    change: 'extends',
    action: 'change seal',
    maxBody: SECRET_BODY_BYTES_MAX,
    timeoutMs: SEAL_TIMEOUT_MS,
    async run({ sealAdmin, startRotation, policies }, call) {
      const slots = parseRotationSlots(sealAdmin, call.body)
      call.body?.fill(0)
      await rotateRoot(sealAdmin, callerOf(policies, call), slots)
      startRotation()
      return empty('root key replaced')
    },
  }),

  put({
    path: '/v1/backup/create',
    adminOnly: 'a backup',
    change: 'extends',
    action: 'make backup',
    timeoutMs: BACKUP_TIMEOUT_MS,
    async run({ backups, policies }, call) {
      const made = await createBackup(backups, callerOf(policies, call))
      return json(`backup ${made.id} made`, made)
    },
  }),
  get({
    path: '/v1/backup/read/',
    adminOnly: 'a backup',
    change: 'nothing', // The process that has made a backup holds it.
    run({ backups }, { argument, query }) {
      const body = readBackup(backups, argument, parseOffset(query))
      return { body, contentType: BYTES_TYPE, audit: `piece of backup ${argument} read` }
    },
  }),
  put({
    path: '/v1/backup/drop/',
    adminOnly: 'a backup',
    change: 'nothing',
    run({ backups }, { argument }) {
      dropBackup(backups, argument)
      return empty(`backup ${argument} dropped`)
    },
  }),

  get({
    path: '/v1/log/error',
    timeoutMs: 0,
    isCounted: false,
    stream: 'error',
    run: () => empty('error log opened'),
  }),
  get({
    path: '/v1/log/audit',
    timeoutMs: 0,
    isCounted: false,
    stream: 'audit',
    run: () => empty('audit log opened'),
  }),
]

/** The time that an API has, with the config's word taken into account. */
export function timeoutOf(api: Api, overrides: Services['overrides']): number {
  return overrides.get(api.path)?.timeoutMs || api.timeoutMs
}

function describeApis(overrides: Services['overrides']) {
  return APIS.map((api) => ({
    method: api.method,
    path: api.path,
    max_body: api.maxBody,
    timeout: Math.floor(timeoutOf(api, overrides) / 1000),
  }))
}

function callerOf(policies: PolicySet, { identity, ip }: Call): Caller {
  return { identity: identity ?? '', ip, isAdmin: identity !== undefined && policies.isAdmin(identity) }
}

/** `true` and a bare name switch a flag on, `false` and absence off. */
function parseFlag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name)
  if (value === null || value === 'false') return false
  if (value === 'true' || value === '') return true
  throw new InvalidParameterError(name, value, 'true or false')
}

/** The number of the entry that a page of the journal follows. */
function parseAfter(query: URLSearchParams): number {
  const value = query.get('after') ?? '0'
  if (!/^[0-9]{1,15}$/.test(value)) throw new InvalidParameterError('after', value, 'the number of an entry')
  return Number(value)
}

/** @returns milliseconds; undefined if the query has no such parameter. */
function parsePeriodOf(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name)
  if (value === null) return undefined
  const ms = parsePeriod(value)
  if (ms === undefined) throw new InvalidParameterError(name, value, 'a time such as 7d or 36h, up to 3650d')
  return ms
}

/** The body is wiped, and the key is wherever it can be wiped, too: see {@link takeSecretField}. */
function parseImport(body: Buffer = NO_BYTES): { key: Buffer; cipher: string } {
  const secret = takeSecretField(body, 'key')
  try {
    if (secret === undefined) return parseBody(body, { key: 'bytes', cipher: 'string' }, { import: true })
    return { key: secret, ...parseBody(body, { cipher: 'string' }, { import: true }) }
  } catch (error) {
    secret?.fill(0)
    throw error
  } finally {
    body.fill(0)
  }
}

function parseBody<Shape extends Record<string, FieldKind>>(
  body: Buffer | undefined,
  shape: Shape,
  options: { import?: boolean } = {},
): Fields<Shape> {
  try {
    return parseFields(body ?? NO_BYTES, shape)
  } catch (cause) {
    if (!(cause instanceof MalformedBodyError)) throw cause
    throw new InvalidBodyError({ ...options, detail: cause.message, cause })
  }
}

/** A continued listing needs the same right as its first page. */
function withoutContinuation(argument: string): string {
  const star = argument.indexOf('*')
  return star < 0 || star === argument.length - 1 ? argument : argument.slice(0, star)
}

type ChangeOne = (ring: KeyRing, name: KeyName, caller: Caller) => void
type ChangeAll = (
  ring: KeyRing,
  prefix: string,
  caller: Caller,
  mayChange: (name: KeyName) => boolean,
) => ChangedKeys

/** One name, or a pattern that ends in `*`: then each of its keys needs the caller's right to change it. */
function changeState(
  { ring, policies, overrides }: Services,
  call: Call,
  verb: 'enable' | 'disable',
  changeOne: ChangeOne,
  changeAll: ChangeAll,
): Reply {
  const caller = callerOf(policies, call)
  if (!call.argument.endsWith('*')) {
    const name = parseKeyName(call.argument)
    changeOne(ring, name, caller)
    return empty(`secret key '${name}' ${verb}d`)
  }
  const prefix = parsePatternPrefix(call.argument)
  const path = `/v1/key/${verb}/`
  const isOpen = overrides.get(path)?.skipAuth === true
  const mayChange = (name: KeyName) => isOpen || policies.isAllowed(call.identity, `${path}${name}`)
  const { matched, changed, damaged, pending } = changeAll(ring, prefix, caller, mayChange)
  return json(`${changed} of ${matched} secret keys of '${call.argument}' ${verb}d`, {
    matched,
    changed,
    ...(damaged === 0 ? {} : { damaged }),
    ...(pending === 0 ? {} : { pending }),
  })
}

/** Where a piece of a backup begins. */
function parseOffset(query: URLSearchParams): number {
  const value = query.get('offset') ?? '0'
  if (!/^[0-9]{1,15}$/.test(value)) throw new InvalidParameterError('offset', value, 'a number of bytes')
  return Number(value)
}

/** Of two fields the one that is there. */
function secretOf(passphrase: Buffer, keyFile: Buffer): Secret {
  if (passphrase.length > 0 === keyFile.length > 0) {
    throw new InvalidBodyError({ detail: 'exactly one of a passphrase and a key file is needed' })
  }
  return passphrase.length > 0 ? { kind: 'passphrase', passphrase } : { kind: 'key file', bytes: keyFile }
}

function parseSlotId(text: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(text)) throw new SlotNotFoundError(text)
  return Number(text)
}

/** Fields `slot_<id>` hold the secrets of the slots that are kept; `remove` the ids of others, with commas. */
function parseRotationSlots(sealAdmin: SealAdmin, body: Buffer | undefined): RotationSlots {
  const { slots } = sealAdmin.describe()
  const { remove } = parseBody(body, { remove: 'string' })
  const shape: Record<string, 'bytes'> = {}
  for (const { slotId } of slots) shape[`slot_${slotId}`] = 'bytes'
  const fields = parseBody(body, shape)
  const secrets = new Map<number, Secret>()
  for (const { slotId, kind } of slots) {
    const bytes = fields[`slot_${slotId}`]
    if (bytes === undefined || bytes.length === 0) continue
    secrets.set(slotId, kind === 'passphrase' ? { kind, passphrase: bytes } : { kind: 'key file', bytes })
  }
  return { secrets, removed: remove === '' ? [] : remove.split(',').map(parseSlotId) }
}

function parsePatternPrefix(pattern: string): string {
  try {
    return parseListPrefix(pattern)
  } catch {
    throw new InvalidNameError('key name', pattern)
  }
}

function empty(audit: string): Reply {
  return { audit }
}

let lastVersion: { readonly version: Version; readonly reply: Reply } | undefined

/** The same each time, and asked for by every probe. */
function versionReply(version: Version): Reply {
  if (lastVersion?.version !== version) lastVersion = { version, reply: json('version read', version) }
  return lastVersion.reply
}

function json(audit: string, value: unknown): Reply {
  return { body: jsonReply(value), contentType: JSON_TYPE, audit }
}

function bytes(audit: string, name: string, value: Uint8Array): Reply {
  return { body: bytesReply([name, value]), contentType: JSON_TYPE, audit }
}
