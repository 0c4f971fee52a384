/** How much, and how little, of a body KES reads: section 6 of its protocol. */
import { createHmac } from 'node:crypto'
import { badBody, base64, type Case, type Expected, json, type Request } from './case.ts'
import { recordedKeys } from './server-under-test.ts'

const NAME = 'vec-aes256-0'
const HMAC_KEY = Buffer.from(recordedKeys.find(({ name }) => name === NAME)?.hmac_key ?? '', 'base64')
const HMAC_OF = { hi: hmacOf('hi'), nothing: hmacOf('') }
const hi = base64('hi')
const other = base64('other')

const hmac = (body: Request['body'], headers: Record<string, string> = {}): Request => ({
  method: 'PUT',
  path: `/v1/key/hmac/${NAME}`,
  body,
  headers,
})

/** hmac tells which bytes the server took from the body, and it is the same each time. */
const TOLERATED: readonly (readonly [title: string, body: string, read: keyof typeof HMAC_OF])[] = [
  ['a field', `{"message":"${hi}"}`, 'hi'],
  ['names of fields in any case', `{"MesSage":"${hi}"}`, 'hi'],
  ['escapes in names', `{"\\u006dessage":"${hi}"}`, 'hi'],
  ['escapes in values', '{"message":"\\u0061Gk="}', 'hi'],
  ['a field twice: the last counts', `{"message":"${other}","message":"${hi}"}`, 'hi'],
  ['a field twice, in any case', `{"message":"${other}","Message":"${hi}"}`, 'hi'],
  ['null after a value', `{"message":"${other}","message":null}`, 'nothing'],
  ['a field that is null', '{"message":null}', 'nothing'],
  ['no field', '{}', 'nothing'],
  ['null for the whole', 'null', 'nothing'],
  ['an empty text', '{"message":""}', 'nothing'],
  ['unknown fields', `{"message":"${hi}","unknown":{"message":"${other}"}}`, 'hi'],
  ['white space before', ` \r\n\t{"message":"${hi}"}`, 'hi'],
  ['text behind', `{"message":"${hi}"} trailing`, 'hi'],
  ['a second document', `{"message":"${hi}"}{"message":"${other}"}`, 'hi'],
  ['braces in texts', `{"message":"${hi}","a":{"b":["}",{"c":"\\"}"}]}} }`, 'hi'],
  ['an array of numbers for bytes', '{"message":[104,105]}', 'hi'],
  ['an empty array for bytes', '{"message":[]}', 'nothing'],
  ['line ends within base64', '{"message":"aG\\r\\nk\\n="}', 'hi'],
  ['spare bits in base64', '{"message":"aGl="}', 'hi'],
  ['a version', `{"message":"${hi}","version":"v1"}`, 'hi'],
  ['a version that is null', `{"message":"${hi}","version":null}`, 'hi'],
]

const REFUSED: readonly (readonly [title: string, body: string])[] = [
  ['not closed', '{'],
  ['cut within a name', '{"mess'],
  ['cut behind a value', `{"message":"${hi}"`],
  ['a comma too much', `{"message":"${hi}",}`],
  ['other quotes', `{'message':'${hi}'}`],
  ['a comment', `{"message":"${hi}"//\n}`],
  ['a byte order mark', `\ufeff{"message":"${hi}"}`],
  ['text before', `x{"message":"${hi}"}`],
  ['an array', '[]'],
  ['a text', `"${hi}"`],
  ['a number', '1'],
  ['a boolean', 'true'],
  ['a word', 'undefined'],
  ['a number for bytes', '{"message":1}'],
  ['a boolean for bytes', '{"message":true}'],
  ['an object for bytes', '{"message":{}}'],
  ['texts for bytes', '{"message":["a"]}'],
  ['256 for a byte', '{"message":[256]}'],
  ['-1 for a byte', '{"message":[-1]}'],
  ['a fraction for a byte', '{"message":[1.5]}'],
  ['no padding', '{"message":"aGk"}'],
  ['too much padding', '{"message":"aGk=="}'],
  ['the URL-safe alphabet', '{"message":"-_-_"}'],
  ['a space in base64', '{"message":"a Gk="}'],
  ['padding in the middle', '{"message":"aGk=aGk="}'],
  ['a line end that is not escaped', '{"message":"\n"}'],
  ['a version that is a number', `{"message":"${hi}","version":1}`],
  ['a version that is an object', `{"message":"${hi}","version":{}}`],
]

const TYPES = ['application/json', 'text/plain', 'application/xml; charset=utf-16', 'nonsense', '']
const ACCEPTS = ['text/csv', 'application/xml', 'nonsense/*', '']

/** A JSON text of exactly so many bytes. */
function ofLength(length: number, field: string): string {
  const head = `{"${field}":"`
  const room = length - head.length - 2
  return `${' '.repeat(room % 4)}${head}${'Q'.repeat(room - (room % 4))}"}`
}

const SIZES = {
  import: 'version',
  generate: 'context',
  encrypt: 'plaintext',
  decrypt: 'ciphertext',
  hmac: 'message',
} as const
const WITH_BODY = ['import', 'generate', 'encrypt', 'decrypt', 'hmac'] as const

const is = (title: string, request: Request, expected: Expected, shown?: string, differs?: string): Case => ({
  section: 'Bodies',
  title,
  requests: [request],
  expected,
  ...(shown === undefined ? {} : { shown }),
  ...(differs === undefined ? {} : { differs }),
})
const reads = (what: keyof typeof HMAC_OF) => json(`{"hmac":"${HMAC_OF[what]}"}`)

const DOCUMENTS: Case[] = [
  ...TOLERATED.map(([title, body, read]) => is(title, hmac(body), reads(read))),
  ...REFUSED.map(([title, body]) => is(title, hmac(body), badBody('hmac'))),
  ...TYPES.map((type) =>
    is(
      'the type of a body is ignored',
      hmac(`{"message":"${hi}"}`, { 'content-type': type }),
      reads('hi'),
      `Content-Type: ${type}`,
    ),
  ),
  ...ACCEPTS.map((accept) =>
    is(
      'what a client accepts is ignored',
      hmac(`{"message":"${hi}"}`, { accept }),
      reads('hi'),
      `Accept: ${accept}`,
    ),
  ),
  is(
    'the enclave of old clients is ignored',
    hmac(`{"message":"${hi}"}`, { 'kes-enclave': 'other' }),
    reads('hi'),
    'Kes-Enclave: other',
  ),
  is(
    'no length, in one piece',
    hmac([Buffer.from(`{"message":"${hi}"}`)]),
    reads('hi'),
    'chunked, or h2 without a length',
  ),
  is(
    'no length, in pieces of a byte',
    hmac([...Buffer.from(`{"message":"${hi}"}`)].map((byte) => Buffer.of(byte))),
    reads('hi'),
    'chunked, or h2 without a length',
  ),
]

const using = (api: string, body: Request['body'], headers: Record<string, string> = {}): Request => ({
  method: 'PUT',
  path: `/v1/key/${api}/${NAME}`,
  body,
  headers,
})

const EMPTY_BODIES: Case[] = [
  ...WITH_BODY.filter((api) => api !== 'generate').flatMap((api) => [
    is(`${api} without a body`, using(api, undefined), badBody(api)),
    is(`${api} with an empty body`, using(api, ''), badBody(api)),
    is(`${api} with white space alone`, using(api, ' \n'), badBody(api)),
  ]),
  is(
    'generate without a body',
    using('generate', undefined),
    json('{"plaintext":"<b64 32>","ciphertext":"<b64 76>"}'),
  ),
  is(
    'generate with a body of length 0',
    using('generate', '', { 'content-length': '0' }),
    json('{"plaintext":"<b64 32>","ciphertext":"<b64 76>"}'),
  ),
  is(
    'generate with an empty body of no length',
    using('generate', [Buffer.alloc(0)]),
    badBody('generate'),
    'chunked, or h2 without a length',
  ),
]

const LIMITS: Case[] = [
  is(
    '1,000,000 bytes',
    using('hmac', ofLength(1_000_000, 'message')),
    json('{"hmac":"<b64 32>"}'),
    'PUT /v1/key/hmac/…, 1,000,000 bytes',
  ),
  is(
    '1,000,000 bytes',
    using('generate', ofLength(1_000_000, 'context')),
    json('{"plaintext":"<b64 32>","ciphertext":"<b64 76>"}'),
    'PUT /v1/key/generate/…, 1,000,000 bytes',
  ),
  ...WITH_BODY.map((api) =>
    is(
      'a byte more',
      using(api, ofLength(1_000_001, SIZES[api])),
      badBody(api),
      `PUT /v1/key/${api}/…, 1,000,001 bytes`,
    ),
  ),
  is(
    'a byte more, without a length',
    using('hmac', [Buffer.from(ofLength(1_000_001, 'message'))]),
    badBody('hmac'),
    'PUT /v1/key/hmac/…, 1,000,001 bytes, chunked or h2 without a length',
  ),
  is(
    'a small document, and 1.5 MB behind it',
    hmac(`{"message":"${hi}"}${'x'.repeat(1_500_000)}`),
    reads('hi'),
    'PUT /v1/key/hmac/…',
  ),
  ...(
    [
      ['GET', '/v1/key/describe/none'],
      ['GET', '/v1/key/list/none'],
      ['DELETE', '/v1/key/delete/none'],
    ] as const
  ).map(
    ([method, path]): Case => ({
      section: 'Bodies',
      title: 'a body for an API that takes none changes nothing, twice on one connection',
      requests: [
        { method, path, body: '{}' },
        { method, path, body: '{"a":"b"}' },
      ],
      shown: `${method} ${path} {}`,
      expected: path.includes('list')
        ? json('{"names":[]}')
        : { ...json(''), status: 404, body: '{"message":"key does not exist","code":"KeyNotFound"\n}' },
      differs: 'body-for-none',
    }),
  ),
]

export const BODY_CASES: readonly Case[] = [...DOCUMENTS, ...EMPTY_BODIES, ...LIMITS]

function hmacOf(message: string): string {
  return createHmac('sha256', HMAC_KEY).update(message).digest('base64')
}
