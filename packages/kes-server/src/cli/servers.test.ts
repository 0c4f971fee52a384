import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  encryptPrivateKey,
  IdentityNotFoundError,
  KesApiError,
  KesConnectionError,
  KesTimeoutError,
  NotAllowedError,
  NotFoundError,
} from '@latchkey/kms-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { API_KEY, FakeKes, IDENTITY, runKes, STATUS } from '../../../../test/kes-cli/harness.ts'
import { makePair } from '../../../../test/kes-cli/pair.ts'

let folder: string
let files: { key: string; cert: string; encrypted: string; ca: string; empty: string; damaged: string }
let identity: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kes-cli-'))
  const pair = makePair()
  identity = pair.identity
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  files = {
    key: write('client.key', pair.keyPem),
    cert: write('client.crt', pair.certPem),
    encrypted: write('encrypted.key', encryptPrivateKey(pair.privateKey, 'secret')),
    ca: write('ca.pem', pair.certPem),
    empty: write('empty.txt', ''),
    damaged: write('damaged.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

test("credentials that are missing or contradict each other are refused in KES's words", async () => {
  const { key, cert, empty, damaged } = files
  const none = 'no API key specified. Consider setting MINIO_KES_API_KEY'
  const cases: [Record<string, string>, string][] = [
    [{}, none],
    [{ MINIO_KES_API_KEY: '', KES_API_KEY: API_KEY }, none],
    [{ KES_API_KEY: '?' }, 'parsing API key: illegal base64 data at input byte 0'],
    [{ KES_API_KEY: 'kes:v1:' }, 'parsing API key: kes: invalid API key: invalid length'],
    [
      { KES_API_KEY: API_KEY, KES_CLIENT_KEY: key },
      'API key and private key file cannot be used at the same time',
    ],
    [
      { KES_API_KEY: API_KEY, KES_CLIENT_CERT: cert },
      'API key and certificate file cannot be used at the same time',
    ],
    [{ KES_CLIENT_KEY: key }, 'no certificate file specified. Consider setting MINIO_KES_CERT_FILE'],
    [{ KES_CLIENT_CERT: cert }, 'no private key file specified. Consider setting MINIO_KES_KEY_FILE'],
    [
      { KES_CLIENT_KEY: key, KES_CLIENT_CERT: '/nowhere/x' },
      'reading certificate file: open /nowhere/x: no such file or directory',
    ],
    [
      { KES_CLIENT_KEY: '/nowhere/x', KES_CLIENT_CERT: cert },
      'reading private key file: open /nowhere/x: no such file or directory',
    ],
    [
      { KES_CLIENT_KEY: cert, KES_CLIENT_CERT: cert },
      'failed to read TLS private key: no PEM-encoded private key found',
    ],
    [
      { KES_CLIENT_KEY: damaged, KES_CLIENT_CERT: cert },
      'failed to read TLS private key: it is damaged, or of an unknown type',
    ],
    [
      { KES_CLIENT_KEY: key, KES_CLIENT_CERT: empty },
      `failed to read TLS certificate: '${empty}' contains no valid PEM certificate`,
    ],
    [{ KES_API_KEY: API_KEY, KES_CA_PATH: empty }, `'${empty}' contains no PEM certificate`],
    [{ KES_API_KEY: API_KEY, KES_CA_PATH: '/nowhere/x' }, 'open /nowhere/x: no such file or directory'],
    [
      { KES_API_KEY: API_KEY, KES_SERVER: ' , ' },
      'no server endpoint specified. Consider setting MINIO_KES_SERVER',
    ],
  ]
  for (const [env, message] of cases) {
    expect(await runKes('status', { env })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error: ${message}\n`,
    })
  }
})

test('the first variable that is set counts', async () => {
  const env = {
    KES_SERVER: 'second:1',
    MINIO_KMS_KES_ENDPOINT: 'third:1',
    MINIO_KMS_KES_API_KEY: 'ignored',
    KES_API_KEY: API_KEY,
    MINIO_KES_SERVER: 'first:1',
  }
  const { opened } = await runKes('status', { env })
  expect(opened.map(({ endpoint }) => endpoint)).toEqual(['https://first:1'])
  expect(opened[0]?.apiKey?.toString()).toBe(API_KEY)
})

test('without a variable the server is 127.0.0.1:7373', async () => {
  const { opened } = await runKes('status')
  expect(opened).toMatchObject([
    { endpoint: 'https://127.0.0.1:7373', insecureSkipVerify: false, ca: undefined },
  ])
})

test('a list of servers starts with the local ones, and spaces and schemes are dropped', async () => {
  const env = { KES_API_KEY: API_KEY, KES_SERVER: 'a:1, https://b , http://localhost:2,[::1]:3' }
  const kes = Object.assign(new FakeKes(), { version: () => Promise.reject(refused('https://x:1')) })
  const { opened } = await runKes('status', { env, kes })
  expect(opened.map(({ endpoint }) => endpoint)).toEqual([
    'https://localhost:2',
    'https://[::1]:3',
    'https://a:1',
    'https://b',
  ])
})

test('a certificate with its key identifies the client, and an encrypted key asks for its password', async () => {
  const kes = Object.assign(new FakeKes(), {
    createKey: () => Promise.reject(new NotAllowedError(403, 'no', 'NotAllowed')),
  })
  const plain = { KES_CLIENT_KEY: files.key, KES_CLIENT_CERT: files.cert }
  const encrypted = { KES_CLIENT_KEY: files.encrypted, KES_CLIENT_CERT: files.cert }
  const refused = await runKes('key create x', { env: plain, kes })
  expect(refused.opened).toMatchObject([{ apiKey: undefined, certificate: { cert: expect.any(String) } }])
  expect(refused.stderr).toContain(`The identity ${identity} was refused /v1/key/create/x`)
  expect((await runKes('status', { env: encrypted, passwords: ['secret'] })).code).toBe(0)
  expect((await runKes('status', { env: encrypted, passwords: ['wrong'] })).stderr).toBe(
    'Error: incorrect password\n',
  )
  expect((await runKes('status', { env: encrypted })).stderr).toBe(
    'Error: reading password: inappropriate ioctl for device\n',
  )
})

test('a CA comes from --ca before the environment, as a file or a folder of files', async () => {
  const env = { KES_API_KEY: API_KEY, KES_CA_PATH: files.empty }
  expect((await runKes(`status --ca ${files.ca}`, { env })).opened[0]?.ca).toHaveLength(1)
  const inFolder = await runKes('status', { env: { KES_API_KEY: API_KEY, MINIO_KMS_KES_CAPATH: folder } })
  expect(inFolder.opened[0]?.ca).toHaveLength(2)
})

test('a damaged CA is named by its file, also in a folder of good ones', async () => {
  const cas = join(folder, 'cas')
  mkdirSync(cas)
  writeFileSync(join(cas, 'good.crt'), readFileSync(files.ca))
  for (const text of [
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    readFileSync(files.ca, 'utf8').slice(0, 200),
  ]) {
    writeFileSync(join(cas, 'bad.crt'), text)
    const { code, stderr } = await runKes(`status --ca ${cas}`, { env: { KES_API_KEY: API_KEY } })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `Error: '${cas}/bad.crt' has a damaged certificate\n`,
    })
  }
})

function refused(endpoint: string): KesConnectionError {
  const fields = { code: 'ECONNREFUSED', address: '127.0.0.1', port: 27999 }
  const cause = Object.assign(new Error('connect'), fields)
  return new KesConnectionError(endpoint, 'connection refused', { cause })
}

function failed(endpoint: string, code: string): KesConnectionError {
  return new KesConnectionError(endpoint, 'a problem', { cause: Object.assign(new Error('x'), { code }) })
}

const URL_OF_STATUS = 'https://127.0.0.1:27999/v1/status'
const VERIFY = 'tls: failed to verify certificate: x509:'

test.each([
  [
    refused,
    `kes: connection error: Get "${URL_OF_STATUS}": dial tcp 127.0.0.1:27999: connect: connection refused`,
  ],
  [
    (e: string) => failed(e, 'ENOTFOUND'),
    `kes: connection error: Get "${URL_OF_STATUS}": dial tcp: lookup 127.0.0.1: no such host`,
  ],
  [(e: string) => failed(e, 'ECONNRESET'), `kes: connection error: Get "${URL_OF_STATUS}": a problem`],
  [
    (e: string) => new KesTimeoutError(e, 5),
    `kes: connection error: Get "${URL_OF_STATUS}": context deadline exceeded`,
  ],
  [
    (e: string) => failed(e, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    `Get "${URL_OF_STATUS}": ${VERIFY} certificate signed by unknown authority`,
  ],
  [
    (e: string) => failed(e, 'DEPTH_ZERO_SELF_SIGNED_CERT'),
    `Get "${URL_OF_STATUS}": ${VERIFY} certificate signed by unknown authority`,
  ],
  [
    (e: string) => failed(e, 'CERT_HAS_EXPIRED'),
    `Get "${URL_OF_STATUS}": ${VERIFY} certificate has expired or is not yet valid`,
  ],
])("a failed connection gives Go's text and a hint (%#)", async (make, text) => {
  const env = { KES_API_KEY: API_KEY, KES_SERVER: '127.0.0.1:27999' }
  const error = make('https://127.0.0.1:27999')
  const kes = Object.assign(new FakeKes(), { version: () => Promise.reject(error) })
  const { code, stderr } = await runKes('status', { env, kes })
  const [first, second] = stderr.split('\n')
  expect({ code, first }).toEqual({ code: 1, first: `Error: ${text}` })
  expect(second).toMatch(/^Hint: /)
})

test('the method and the path of a failed call are those that KES would name', async () => {
  const kes = Object.assign(new FakeKes(), { createKey: () => Promise.reject(refused('https://h:1')) })
  expect((await runKes('key create x', { kes })).stderr).toMatch(
    /^Error: failed to create key "x": kes: connection error: Post "https:\/\/h:1\/v1\/key\/create\/x": dial tcp /,
  )
})

test('of a name with several addresses, the first one that refused is named', async () => {
  const { cause } = refused('https://localhost:1')
  const both = Object.assign(new AggregateError([cause, cause]), { code: 'ECONNREFUSED' })
  const kes = Object.assign(new FakeKes(), {
    version: () => Promise.reject(new KesConnectionError('https://localhost:1', 'refused', { cause: both })),
  })
  expect((await runKes('status', { kes })).stderr).toContain('dial tcp 127.0.0.1:27999: connect')
})

test.each([
  [refused('https://a:1'), 2],
  [new KesApiError(503, 'server is shutting down'), 2],
  [new KesApiError(501, 'not implemented'), 1],
  [new KesApiError(404, 'key does not exist'), 1],
])('the next server is asked when this one may be at fault (%#)', async (error, asked) => {
  const env = { KES_API_KEY: API_KEY, KES_SERVER: 'a:1,b:1' }
  const endpoints: string[] = []
  const { code, stdout } = await runKes('status --short', {
    env,
    kes: ({ endpoint }) =>
      Object.assign(new FakeKes(), {
        async status() {
          endpoints.push(endpoint)
          if (endpoint === 'https://a:1') throw error
          return STATUS
        },
      }),
  })
  expect(endpoints).toHaveLength(asked)
  expect({ code, stdout }).toEqual(asked === 2 ? { code: 0, stdout: '● b:1\n' } : { code: 1, stdout: '' })
})

test.each([
  ['journal export', 'journalEntries'],
  ['log --audit --json', 'auditLog'],
  ['log --error', 'errorLog'],
  ['key watch --json', 'watchKeys'],
  ['backup create --recipient age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm', 'readBackup'],
] as const)('no other server goes on where %s broke off', async (args, method) => {
  const backup = args.startsWith('backup') ? ` ${join(folder, 'backup.age')}` : ''
  const asked: string[] = []
  const env = { KES_API_KEY: API_KEY, KES_SERVER: 'a:1,b:1' }
  const { code, stdout, stderr } = await runKes(`${args}${backup}`, {
    env,
    kes: ({ endpoint }) => {
      const kes = new FakeKes()
      const whole = kes[method].bind(kes) as (...args: unknown[]) => AsyncIterable<unknown>
      return Object.assign(kes, {
        async *[method](...given: unknown[]) {
          asked.push(endpoint)
          for await (const item of whole(...given)) {
            yield item
            throw failed(endpoint, 'ECONNRESET')
          }
        },
      })
    },
  })
  expect({ code, asked }).toEqual({ code: 1, asked: ['https://a:1'] })
  expect(stdout.split('\n')).toHaveLength(backup === '' ? 2 : 1)
  expect(stderr).toContain('https://a:1')
})

test('a server without an API says that it is no Latchkey', async () => {
  const kes = Object.assign(new FakeKes(), {
    disableKey: () => Promise.reject(new NotFoundError(404, '404 page not found', 'NotFound')),
  })
  expect((await runKes('key disable x', { kes })).stderr).toBe(
    'Error: failed to disable key "x": 404 page not found\n' +
      'Hint: The server has no API /v1/key/disable/x: it is not Latchkey, or an older one.\n',
  )
})

test('an identity that no policy names is told which one it is', async () => {
  const kes = Object.assign(new FakeKes(), {
    describeSelf: () =>
      Promise.reject(new IdentityNotFoundError(404, 'identity does not exist', 'IdentityNotFound')),
  })
  const { stderr } = await runKes('identity info', { kes })
  expect(stderr).toMatch(/^Error: identity does not exist\nHint: /)
  expect(stderr).toContain(IDENTITY)
})
