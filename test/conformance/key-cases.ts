/** The key APIs on keys of every kind, and none: section 8 of KES's protocol. */
import {
  badBody,
  base64,
  type Case,
  EMPTY,
  type Expected,
  error,
  json,
  NO_KEY,
  NOT_ALLOWED_MESSAGE,
  NOT_AUTHENTIC,
  type Request,
} from './case.ts'
import { recordedKeys, storedKeys } from './server-under-test.ts'

const EXISTS = error(400, 'key already exists', 'KeyExists')
const RESERVED = error(400, 'key already exists', 'KeyNameReserved')
const LOCKED = error(403, NOT_ALLOWED_MESSAGE, 'KeyDisabled')
const FAILED_TO_READ = error(502, 'failed to read key', 'RecordDamaged')
const NO_HMAC = error(409, 'key does not support HMAC', 'NoHmac')
const KEY = base64(Buffer.alloc(32, 7))

const path = (api: string, name: string) => `/v1/key/${api}/${name}`
const create = (name: string): Request => ({ method: 'PUT', path: path('create', name) })
const importing = (name: string, body: object): Request => ({
  method: 'PUT',
  path: path('import', name),
  body: { ...body },
})
const unsupported = (cipher: string) =>
  error(406, `algorithm '${cipher}' is not supported`, 'UnsupportedAlgorithm')

function one(
  section: string,
  title: string,
  request: Request,
  expected: Expected,
  more: Pick<Case, 'before' | 'differs' | 'shown'> = {},
): Case {
  return { section, title, requests: [request], expected, ...more }
}

const CREATE: Case[] = [
  one('Create', 'a new key', create('new-1'), EMPTY),
  one('Create', 'a new key, by POST', { method: 'POST', path: path('create', 'new-2') }, EMPTY),
  one('Create', 'a name of 80 letters', create('a'.repeat(80)), EMPTY, {
    shown: 'PUT /v1/key/create/aaa… (80)',
  }),
  one('Create', 'a key that is there', create('taken'), EXISTS),
  one('Create', 'a key that KES has left in its folder', create('vec-aes256-0'), EXISTS),
  one('Create', 'a key that is disabled', create('locked'), EXISTS),
  one('Create', 'a key that was erased', create('erased'), RESERVED, { differs: 'reserved-names' }),
  one('Create', 'a body that nobody asked for', { ...create('new-3'), body: '{"a":1}' }, EMPTY, {
    differs: 'body-for-none',
  }),
  one('Create', 'what was just created', create('new-4'), EXISTS, { before: [create('new-4')] }),
]

const CIPHERS = [
  ['AES256', 'AES256'],
  ['AES256-GCM_SHA256', 'AES256'],
  ['ChaCha20', 'ChaCha20'],
  ['XCHACHA20-POLY1305', 'ChaCha20'],
] as const

const IMPORT: Case[] = [
  ...CIPHERS.flatMap(([cipher, algorithm], index): Case[] => {
    const name = `imported-${index}`
    const before = [importing(`described-${index}`, { key: KEY, cipher })]
    return [
      one('Import', `32 bytes as ${cipher}`, importing(name, { key: KEY, cipher }), EMPTY),
      one(
        'Import',
        `${cipher} is described as ${algorithm}`,
        { method: 'GET', path: path('describe', `described-${index}`) },
        json(
          `{"name":"described-${index}","algorithm":"${algorithm}","created_at":"<time>","created_by":"<admin>",<text>}`,
        ),
        { before, differs: 'states' },
      ),
    ]
  }),
  ...['aes256', 'AES-256', 'AES256 ', 'CHACHA20', 'XChaCha20-Poly1305', ''].map((cipher) =>
    one(
      'Import',
      'a cipher that KES has not, whatever the key',
      importing('refused', { key: 'AA==', cipher }),
      unsupported(cipher),
    ),
  ),
  one('Import', 'no cipher', importing('refused', { key: KEY }), unsupported('')),
  one(
    'Import',
    'the fields of early releases',
    importing('refused', { bytes: KEY, algorithm: 'AES256' }),
    unsupported(''),
  ),
  ...[0, 16, 31, 33, 64].map((length) =>
    one(
      'Import',
      `a key of ${length} bytes`,
      importing('refused', { key: base64(Buffer.alloc(length, 'p')), cipher: 'AES256' }),
      error(406, "invalid key size for 'AES256'", 'InvalidKeySize'),
    ),
  ),
  one('Import', 'a key that is there', importing('taken', { key: KEY, cipher: 'AES256' }), EXISTS),
  one('Import', 'a key that was erased', importing('erased', { key: KEY, cipher: 'AES256' }), RESERVED, {
    differs: 'reserved-names',
  }),
  one('Import', 'the names of fields in any case', importing('any-case', { KEY, Cipher: 'AES256' }), EMPTY),
  one(
    'Import',
    'bytes as numbers',
    importing('numbers', { key: [...Buffer.alloc(32, 1)], cipher: 'AES256' }),
    EMPTY,
  ),
]

/** KES's fields, then ours, which begin with the state. */
function described(name: string, key: { algorithm: string; created_at: string; created_by: string }): string {
  const by = key.created_by === '' ? '' : `,"created_by":"${key.created_by}"`
  return `{"name":"${name}","algorithm":"${key.algorithm}","created_at":"${key.created_at}"${by},"state":"enabled",<text>}`
}

const describe = (name: string): Request => ({ method: 'GET', path: path('describe', name) })

const DESCRIBE: Case[] = [
  ...recordedKeys.map((key) =>
    one('Describe', 'a key as the Go KES has stored it', describe(key.name), json(described(key.name, key)), {
      differs: 'states',
    }),
  ),
  ...storedKeys
    .filter(({ valid }) => valid)
    .map((key) =>
      one('Describe', `stored as: ${key.why}`, describe(key.id), json(described(key.id, key)), {
        differs: 'states',
      }),
    ),
  ...storedKeys
    .filter(({ valid }) => !valid)
    .map((key) =>
      one(
        'Describe',
        `stored as: ${key.why}`,
        describe(key.id),
        FAILED_TO_READ,
        'kes_behaviour' in key ? { differs: 'damaged-record' } : {},
      ),
    ),
  one('Create', 'a name whose file holds no key', create('stored-042'), EXISTS),
  one('Describe', 'a key that is not there', describe('none'), NO_KEY),
  one('Describe', 'a key that was erased', describe('erased'), NO_KEY),
  one(
    'Describe',
    'a key that is disabled',
    describe('locked'),
    json(
      '{"name":"locked","algorithm":"AES256","created_at":"<time>","created_by":"<admin>","state":"disabled",<text>}',
    ),
    { differs: 'states' },
  ),
]

const remove = (name: string): Request => ({ method: 'DELETE', path: path('delete', name) })

const DELETE: Case[] = [
  one('Delete', 'a key', remove('deleted-1'), EMPTY, { before: [create('deleted-1')] }),
  one('Delete', 'a key that is not there', remove('none'), NO_KEY),
  one('Delete', 'a key that was just deleted', remove('deleted-2'), NO_KEY, {
    before: [create('deleted-2'), remove('deleted-2')],
  }),
  one('Delete', 'a body that nobody asked for', { ...remove('deleted-3'), body: '{}' }, EMPTY, {
    before: [create('deleted-3')],
    differs: 'body-for-none',
  }),
  one('Delete', 'the name of a deleted key stays taken', create('deleted-4'), RESERVED, {
    before: [create('deleted-4'), remove('deleted-4')],
    differs: 'reserved-names',
  }),
  ...(['describe', 'generate', 'encrypt', 'decrypt', 'hmac'] as const).map((api) =>
    one(
      'Delete',
      `${api} of a deleted key`,
      {
        method: api === 'describe' ? 'GET' : 'PUT',
        path: path(api, 'erased'),
        body: api === 'describe' ? undefined : '{}',
      },
      NO_KEY,
    ),
  ),
]

const CONTEXT = base64('ctx')
const CIPHERTEXT_OF_GENERATE = '{"plaintext":"<b64 32>","ciphertext":"<b64 76>"}'

const USE: Case[] = [
  ...['vec-aes256-0', 'vec-chacha20-0', 'taken', 'stored-022'].flatMap((name): Case[] => [
    one(
      'Generate',
      'without a body',
      { method: 'PUT', path: path('generate', name) },
      json(CIPHERTEXT_OF_GENERATE),
    ),
    one(
      'Generate',
      'with a context',
      { method: 'POST', path: path('generate', name), body: { context: CONTEXT } },
      json(CIPHERTEXT_OF_GENERATE),
    ),
    ...[0, 1, 5, 32, 1000].map((length) =>
      one(
        'Encrypt',
        `${length} bytes become ${length + 44}`,
        {
          method: 'PUT',
          path: path('encrypt', name),
          body: { plaintext: base64(Buffer.alloc(length, 'p')), context: CONTEXT },
        },
        json(`{"ciphertext":"<b64 ${length + 44}>"}`),
        { shown: `PUT ${path('encrypt', name)} {"plaintext":"${length} bytes","context":"${CONTEXT}"}` },
      ),
    ),
  ]),
  one(
    'Encrypt',
    'no plaintext is an empty one',
    { method: 'PUT', path: path('encrypt', 'taken'), body: '{}' },
    json('{"ciphertext":"<b64 44>"}'),
  ),
  one(
    'Decrypt',
    'no ciphertext',
    { method: 'PUT', path: path('decrypt', 'taken'), body: '{}' },
    NOT_AUTHENTIC,
  ),
  ...[1, 27, 28, 29, 43, 44, 76, 1000].map((length) =>
    one(
      'Decrypt',
      `${length} bytes that are no ciphertext`,
      {
        method: 'PUT',
        path: path('decrypt', 'taken'),
        body: { ciphertext: base64(Buffer.alloc(length, 9)) },
      },
      NOT_AUTHENTIC,
      { shown: `PUT ${path('decrypt', 'taken')} {"ciphertext":"${length} bytes"}` },
    ),
  ),
  one(
    'HMAC',
    'no message is an empty one',
    { method: 'PUT', path: path('hmac', 'vec-aes256-0'), body: '{}' },
    json('{"hmac":"Y1wPaPZqE8ogjb4xCttJSau24lwhYtNeRXhKUFQY3V0="}'),
  ),
  ...storedKeys
    .filter(({ valid, has_hmac_key }) => valid && has_hmac_key)
    .map((key) =>
      one(
        'HMAC',
        `stored as: ${key.why}`,
        { method: 'PUT', path: path('hmac', key.id), body: { message: key.hmac_probe_message } },
        json(`{"hmac":"${key.hmac_probe}"}`),
      ),
    ),
  ...storedKeys
    .filter(({ valid, has_hmac_key }) => valid && !has_hmac_key)
    .map((key) =>
      one(
        'HMAC',
        `no HMAC key, stored as: ${key.why}`,
        { method: 'PUT', path: path('hmac', key.id), body: '{}' },
        NO_HMAC,
      ),
    ),
  ...(['generate', 'encrypt', 'decrypt', 'hmac'] as const).flatMap((api): Case[] => {
    const section = { generate: 'Generate', encrypt: 'Encrypt', decrypt: 'Decrypt', hmac: 'HMAC' }[api]
    const using = (name: string, body: Request['body']): Request => ({
      method: 'PUT',
      path: path(api, name),
      body,
    })
    return [
      one(section, 'a key that is not there', using('none', '{}'), NO_KEY),
      one(section, 'a key that is disabled', using('locked', '{}'), LOCKED, { differs: 'states' }),
      one(section, 'no JSON', using('taken', '{'), badBody(api)),
      one(
        section,
        'no certificate',
        { ...using('taken', '{}'), as: 'none' },
        error(400, 'tls: client certificate is required', 'CertificateRequired'),
      ),
    ]
  }),
]

export const KEY_CASES: readonly Case[] = [...CREATE, ...IMPORT, ...DESCRIBE, ...DELETE, ...USE]
