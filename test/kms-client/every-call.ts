/** Every call of the client: what it asks for, whether it may be repeated, and an answer that suits all of them. */
import type { KesClient } from '@latchkey/kms-client'
import type { Handler } from './fake-server.ts'

/**
 * - `read` and `use` change nothing, and may be repeated.
 * - `repeatable change`: what it sets stays set, however often it is done.
 * - `change`: done twice, it answers something else, or undoes what somebody else has done in between.
 * - `stream`: opening it may be repeated; what follows is not to be had again.
 */
export type CallKind = 'read' | 'use' | 'repeatable change' | 'change' | 'stream'

/** Of a stream that was accepted the signal ends it; a call of the seal or for a backup has a time of its own if none is given. */
export interface Limits {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

export interface ClientCall {
  readonly kind: CallKind
  readonly run: (client: KesClient, limits: Limits) => Promise<unknown>
}

type CallName = Exclude<keyof KesClient, 'close' | 'reload' | 'endpoints' | typeof Symbol.asyncDispose>

const BYTES = Buffer.alloc(32)
const BACKUP = { id: '00', madeAt: 't', head: '1:00', keys: 1, bytes: 1 }

async function first<Item>(items: AsyncIterable<Item>): Promise<Item> {
  for await (const item of items) return item
  throw new Error('there is no item')
}

/** Does not compile while a method of the client is missing. */
export const EVERY_CALL: Readonly<Record<CallName, ClientCall>> = {
  version: { kind: 'read', run: (client) => client.version() },
  ready: { kind: 'read', run: (client) => client.ready() },
  status: { kind: 'read', run: (client) => client.status() },
  metrics: { kind: 'read', run: (client) => client.metrics() },
  apis: { kind: 'read', run: (client) => client.apis() },
  createKey: { kind: 'change', run: (client) => client.createKey('k') },
  importKey: { kind: 'change', run: (client) => client.importKey('k', BYTES) },
  describeKey: { kind: 'read', run: (client) => client.describeKey('k') },
  deleteKey: { kind: 'change', run: (client) => client.deleteKey('k') },
  deleteKeyWithReceipt: { kind: 'change', run: (client) => client.deleteKeyWithReceipt('with-receipt') },
  cancelKeyDeletion: { kind: 'change', run: (client) => client.cancelKeyDeletion('k') },
  erasureReceipt: { kind: 'read', run: (client) => client.erasureReceipt('erased') },
  keyHistory: { kind: 'read', run: (client) => first(client.keyHistory('k')) },
  enableKey: { kind: 'change', run: (client) => client.enableKey('k') },
  disableKey: { kind: 'repeatable change', run: (client) => client.disableKey('k') },
  enableKeys: { kind: 'change', run: (client) => client.enableKeys('k*') },
  disableKeys: { kind: 'change', run: (client) => client.disableKeys('k*') },
  listKeys: { kind: 'read', run: (client) => first(client.listKeys('names')) },
  listKeyDetails: { kind: 'read', run: (client) => first(client.listKeyDetails('details')) },
  generateKey: { kind: 'use', run: (client) => client.generateKey('k') },
  encrypt: { kind: 'use', run: (client) => client.encrypt('k', BYTES) },
  decrypt: { kind: 'use', run: (client) => client.decrypt('k', BYTES) },
  hmac: { kind: 'use', run: (client) => client.hmac('k', BYTES) },
  describePolicy: { kind: 'read', run: (client) => client.describePolicy('p') },
  readPolicy: { kind: 'read', run: (client) => client.readPolicy('p') },
  listPolicies: { kind: 'read', run: (client) => first(client.listPolicies()) },
  describeIdentity: { kind: 'read', run: (client) => client.describeIdentity('1') },
  listIdentities: { kind: 'read', run: (client) => first(client.listIdentities()) },
  describeSelf: { kind: 'read', run: (client) => client.describeSelf() },
  journalHead: { kind: 'read', run: (client) => client.journalHead() },
  journalEntries: { kind: 'read', run: (client) => first(client.journalEntries()) },
  describeSeal: { kind: 'read', run: (client) => client.describeSeal() },
  addSealSlot: {
    kind: 'change',
    run: (client, { timeoutMs }) =>
      client.addSealSlot({ passphrase: BYTES }, { passphrase: BYTES }, { timeoutMs }),
  },
  removeSealSlot: { kind: 'change', run: (client, { timeoutMs }) => client.removeSealSlot(1, { timeoutMs }) },
  changeSealPassphrase: {
    kind: 'change',
    run: (client, { timeoutMs }) => client.changeSealPassphrase(BYTES, BYTES, { timeoutMs }),
  },
  rotateRootKey: { kind: 'change', run: (client, { timeoutMs }) => client.rotateRootKey({}, { timeoutMs }) },
  createBackup: { kind: 'change', run: (client, { timeoutMs }) => client.createBackup({ timeoutMs }) },
  dropBackup: { kind: 'repeatable change', run: (client) => client.dropBackup('01') },
  readBackup: { kind: 'read', run: (client) => first(client.readBackup(BACKUP)) },
  watchKeys: { kind: 'stream', run: (client, limits) => first(client.watchKeys('k', limits)) },
  auditLog: { kind: 'stream', run: (client, limits) => first(client.auditLog(limits)) },
  errorLog: { kind: 'stream', run: (client, limits) => first(client.errorLog(limits)) },
}

const ENTRY = {
  number: 1,
  name: 'k',
  entry: 'AAAA',
  signature: 'AAAA',
  time: 't',
  action: 'create',
  key_id: '00',
  state: 'enabled',
  revision: 1,
  identity: 'i',
  ip: '127.0.0.1',
  created_at: 't',
  created_by: 'i',
  store_id: '00',
  previous: '00',
}
const KEY = { name: 'k', algorithm: 'AES256', created_at: 't' }

/** All fields that any of the replies has. */
const REPLY = JSON.stringify({
  ...KEY,
  ...ENTRY,
  version: '1',
  commit: 'c',
  os: 'linux',
  arch: 'x64',
  matched: 1,
  changed: 1,
  plaintext: 'AAAA',
  ciphertext: 'AAAA',
  hmac: 'AAAA',
  names: ['k'],
  identities: ['i'],
  keys: [KEY],
  entries: [ENTRY],
  policy: 'p',
  hash: '00',
  public_key: 'PEM',
  erased_at: 't',
  erased_by: 'i',
  root_generation: 1,
  slots: [],
  id: 1,
})
const BACKUP_REPLY = '{"id":"00","made_at":"t","head":"1:00","keys":1,"bytes":1}'
const AUDIT_EVENT = '{"time":"t","request":{"path":"/p"},"response":{"code":200}}\n'
const KEY_EVENT = '{"event":"snapshot","name":"k","state":"enabled"}\n'
const ERROR_EVENT = '{"message":"m"}\n'

export function bodyOf(url: string): string {
  if (url === '/v1/api') return '[]'
  if (url === '/v1/metrics') return 'kes_system_up_time 1\n'
  if (url === '/v1/log/audit') return AUDIT_EVENT
  if (url === '/v1/backup/create') return BACKUP_REPLY
  if (url.startsWith('/v1/key/watch/')) return KEY_EVENT
  return url === '/v1/log/error' ? ERROR_EVENT : REPLY
}

/** Does what is asked. */
export const answerEverything: Handler = (request, response) => {
  const body = bodyOf(request.url)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
