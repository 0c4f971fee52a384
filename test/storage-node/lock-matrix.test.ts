/**
 * Every operation on every kind of object, in every state of its key. The outcome of each cell is asserted, and the table
 * stands in docs/lock-matrix.md: `UPDATE_DOCS=1` writes it anew.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from './node-under-test.ts'
import { startScriptedKeyServer } from './scripted-key-server.ts'

const DOCUMENT = new URL('../../docs/lock-matrix.md', import.meta.url)
const SSE = 'x-amz-server-side-encryption'
const SOURCE = 'x-amz-copy-source'

type Headers = Readonly<Record<string, string>>

const customer = Buffer.alloc(32, 0x6b)
const CUSTOMER: Headers = {
  [`${SSE}-customer-algorithm`]: 'AES256',
  [`${SSE}-customer-key`]: customer.toString('base64'),
  [`${SSE}-customer-key-md5`]: createHash('md5').update(customer).digest('base64'),
}
const asSource = (headers: Headers): Headers =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.replace('x-amz-', `${SOURCE}-`), value]),
  )

const KINDS: Readonly<Record<string, Headers>> = {
  plain: {},
  'SSE-S3': { [SSE]: 'AES256' },
  'SSE-KMS': { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: TENANT_KEY },
  'SSE-C': CUSTOMER,
}
const KEY_OF: Readonly<Record<string, string | undefined>> = { 'SSE-S3': DEFAULT_KEY, 'SSE-KMS': TENANT_KEY }

/** What an operation asks of the key: to open what is there, to make something new, both, or nothing. */
type Need = 'open' | 'make' | 'open, then make' | 'nothing'

interface Operation {
  readonly name: string
  readonly need: Need
  readonly ok: number
  readonly run: (node: NodeUnderTest, kind: string, upload: Upload) => Promise<Answer>
}

interface Upload {
  readonly id: string
  readonly etag: string
}

const headersOf = (kind: string): Headers => KINDS[kind] ?? {}
/** What a request must bring to read an object of this kind. */
const readingOf = (kind: string): Headers => (kind === 'SSE-C' ? CUSTOMER : {})
const pathOf = (kind: string) => `/matrix/${kind}`

const OPERATIONS: readonly Operation[] = [
  {
    name: 'GetObject',
    need: 'open',
    ok: 200,
    run: (node, kind) => node.ask('GET', pathOf(kind), { headers: readingOf(kind) }),
  },
  {
    name: 'GetObject, a range',
    need: 'open',
    ok: 206,
    run: (node, kind) =>
      node.ask('GET', pathOf(kind), { headers: { ...readingOf(kind), range: 'bytes=1-2' } }),
  },
  {
    name: 'HeadObject',
    need: 'nothing',
    ok: 200,
    run: (node, kind) => node.ask('HEAD', pathOf(kind), { headers: readingOf(kind) }),
  },
  {
    name: 'GetObjectAttributes',
    need: 'nothing',
    ok: 200,
    run: (node, kind) =>
      node.ask('GET', `${pathOf(kind)}?attributes`, {
        headers: { ...readingOf(kind), 'x-amz-object-attributes': 'ETag,ObjectSize' },
      }),
  },
  {
    name: 'PutObject',
    need: 'make',
    ok: 200,
    run: (node, kind) => node.ask('PUT', `${pathOf(kind)}-new`, { headers: headersOf(kind), body: 'x' }),
  },
  {
    name: 'CopyObject, to plaintext',
    need: 'open',
    ok: 200,
    run: (node, kind) =>
      node.ask('PUT', `${pathOf(kind)}-copy`, {
        headers: { [SOURCE]: pathOf(kind), ...asSource(readingOf(kind)) },
      }),
  },
  {
    name: 'CopyObject, to the same kind',
    need: 'open, then make',
    ok: 200,
    run: (node, kind) =>
      node.ask('PUT', `${pathOf(kind)}-same`, {
        headers: { [SOURCE]: pathOf(kind), ...asSource(readingOf(kind)), ...headersOf(kind) },
      }),
  },
  {
    name: 'CreateMultipartUpload',
    need: 'make',
    ok: 200,
    run: (node, kind) => node.ask('POST', `${pathOf(kind)}-other?uploads`, { headers: headersOf(kind) }),
  },
  {
    name: 'UploadPart',
    need: 'open',
    ok: 200,
    run: (node, kind, { id }) =>
      node.ask('PUT', `${pathOf(kind)}-parts?partNumber=2&uploadId=${id}`, {
        headers: readingOf(kind),
        body: 'x',
      }),
  },
  {
    name: 'ListParts',
    need: 'nothing',
    ok: 200,
    run: (node, kind, { id }) => node.ask('GET', `${pathOf(kind)}-parts?uploadId=${id}`),
  },
  {
    name: 'CompleteMultipartUpload',
    need: 'open',
    ok: 200,
    run: (node, kind, { id, etag }) =>
      node.ask('POST', `${pathOf(kind)}-parts?uploadId=${id}`, {
        body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
      }),
  },
  {
    name: 'ListObjectsV2',
    need: 'nothing',
    ok: 200,
    run: (node, kind) => node.ask('GET', `/matrix?list-type=2&prefix=${kind}`),
  },
  {
    name: 'DeleteObjects',
    need: 'nothing',
    ok: 200,
    run: (node, kind) =>
      node.ask('POST', '/matrix?delete', {
        body: `<Delete><Object><Key>${kind}-doomed</Key></Object></Delete>`,
      }),
  },
  { name: 'DeleteObject', need: 'nothing', ok: 204, run: (node, kind) => node.ask('DELETE', pathOf(kind)) },
]

const STATES = [
  'enabled',
  'disabled',
  'pending',
  'erased',
  're-created',
  'server down',
  'not allowed',
] as const
type State = (typeof STATES)[number]

const NOT_AUTHORIZED = '403 kms:NotAuthorized'
const NOT_FOUND = '404 kms:KeyNotFound'

/** What the key's state makes of an operation that needs it; undefined if nothing. */
function refusalOf(state: State, need: Need): string | undefined {
  switch (state) {
    case 'enabled':
      return undefined
    case 'disabled':
    case 'pending':
    case 'not allowed':
      return NOT_AUTHORIZED
    case 'erased':
      return NOT_FOUND
    case 're-created':
      return need === 'make' ? undefined : '400 kms:InvalidCiphertextException'
    case 'server down':
      return need === 'make' ? '500 kms:KeyGenerationFailed' : '500 kms:DecryptionFailed'
  }
}

function expectedOf(state: State, kind: string, { need, ok }: Operation): string {
  const refusal = KEY_OF[kind] === undefined || need === 'nothing' ? undefined : refusalOf(state, need)
  return refusal ?? String(ok)
}

function outcomeOf({ status, body }: Answer): string {
  const code = /<Code>(.*?)<\/Code>/.exec(body.toString())?.[1]
  return code === undefined ? String(status) : `${status} ${code}`
}

async function prepare(node: NodeUnderTest): Promise<Map<string, Upload>> {
  const uploads = new Map<string, Upload>()
  await node.ask('PUT', '/matrix')
  for (const [kind, headers] of Object.entries(KINDS)) {
    await node.ask('PUT', pathOf(kind), { headers, body: 'content' })
    await node.ask('PUT', `${pathOf(kind)}-doomed`, { headers, body: 'content' })
    const created = await node.ask('POST', `${pathOf(kind)}-parts?uploads`, { headers })
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(created.body.toString())?.[1] ?? ''
    const part = await node.ask('PUT', `${pathOf(kind)}-parts?partNumber=1&uploadId=${id}`, {
      headers: readingOf(kind),
      body: 'content',
    })
    uploads.set(kind, { id, etag: part.headers.etag ?? '' })
  }
  return uploads
}

/** A node whose objects were written while all was well, and whose keys are then as the state says. */
async function enter(state: State, resources: AsyncDisposableStack) {
  if (state === 'not allowed') {
    const scripted = resources.use(await startScriptedKeyServer())
    const node = resources.use(await startNodeUnderTest({ env: scripted.env, kms: { retries: 0 } }))
    const uploads = await prepare(node)
    const body = '{"message":"not authorized: insufficient permissions"}'
    scripted.answer = { status: 403, body, contentType: 'application/json' }
    return { node, uploads }
  }
  const keys = resources.use(await startKeyServer())
  const node = resources.use(await startNodeUnderTest({ env: keys.env, kms: { retries: 0 } }))
  const uploads = await prepare(node)
  if (state === 'server down') await keys.server[Symbol.asyncDispose]()
  else for (const key of [DEFAULT_KEY, TENANT_KEY]) await change(keys, key, state)
  return { node, uploads }
}

async function change({ client }: KeyServerUnderTest, key: string, state: State): Promise<void> {
  if (state === 'disabled') await client.disableKey(key)
  if (state === 'pending') await client.deleteKey(key, { after: '1d' })
  if (state === 'erased' || state === 're-created') await client.deleteKey(key)
  if (state === 're-created') await client.createKey(key)
}

const outcomes = new Map<string, string>()
const cell = (state: State, kind: string, operation: string) => `${state} / ${kind} / ${operation}`

describe.each(STATES)('the key is %s', (state) => {
  test('every operation on every kind ends as it must', async () => {
    await using resources = new AsyncDisposableStack()
    const { node, uploads } = await enter(state, resources)
    const got: Record<string, string> = {}
    const expected: Record<string, string> = {}
    for (const kind of Object.keys(KINDS)) {
      for (const operation of OPERATIONS) {
        const name = cell(state, kind, operation.name)
        const answer = await operation.run(node, kind, uploads.get(kind) ?? { id: '', etag: '' })
        got[name] = outcomeOf(answer)
        expected[name] = expectedOf(state, kind, operation)
        outcomes.set(name, got[name])
      }
    }
    expect(got).toEqual(expected)
  })
})

test('the document has this table', () => {
  const document = describeAll()
  if (process.env.UPDATE_DOCS) writeFileSync(DOCUMENT, document)
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(document)
})

afterAll(() => outcomes.clear())

function describeAll(): string {
  const head = [
    '# What each operation does in each state of its key',
    '',
    'Made by `test/storage-node/lock-matrix.test.ts`, which asserts every cell against a running node and key server. The key',
    'of SSE-S3 is the default key, that of SSE-KMS one that the client named. *re-created*: erased, and made again under the',
    'same name with other bytes.',
    '',
  ]
  const tables = Object.keys(KINDS).flatMap((kind) => [
    `## ${kind}`,
    '',
    `| operation | ${STATES.join(' | ')} |`,
    `| --- | ${STATES.map(() => '---').join(' | ')} |`,
    ...OPERATIONS.map(({ name }) => {
      const cells = STATES.map((state) => outcomes.get(cell(state, kind, name)) ?? '')
      return `| ${name} | ${cells.join(' | ')} |`
    }),
    '',
  ])
  return `${[...head, ...tables].join('\n').trimEnd()}\n`
}
