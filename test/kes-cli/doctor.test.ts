/** `kes doctor` against everything that goes wrong between a client and its key, and on a server's own machine. */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { type CertificateOptions, encryptPrivateKey, KesClient, makeCertificate } from '@latchkey/kms-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { examineConfig } from '../../packages/kes-server/src/cli/doctor/examine-config.ts'
import type { Finding } from '../../packages/kes-server/src/cli/doctor/findings.ts'
import {
  type Authority,
  authorityOf,
  type Credentials,
  clientOf,
  credentialsOf,
  issueCertificate,
  keyPairOf,
  serverOf,
  validityOf,
} from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { Installation } from '../server-process/installation.ts'
import { runKes as runProcess } from '../server-process/server-process.ts'
import { runKes } from './harness.ts'

const DAY_MS = 86_400_000
const NOBODY = 65534
const IS_ROOT = process.getuid?.() === 0

let folder: string
let file: (name: string, content: string | Buffer, mode?: number) => string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kes-doctor-'))
  file = (name, content, mode = 0o600) => {
    const path = join(folder, name)
    writeFileSync(path, content)
    chmodSync(path, mode)
    return path
  }
})

afterEach(() => rmSync(folder, { recursive: true }))

interface Examined {
  readonly code: number
  /** All but what is well: `problem chain: …`. */
  readonly wrong: readonly string[]
  readonly findings: readonly Finding[]
}

type Options = Parameters<typeof runKes>[1] & { readonly args?: readonly string[] }

async function doctor({ args = [], ...options }: Options): Promise<Examined> {
  const { code, stdout, stderr } = await runKes(['doctor', '--json', ...args], {
    now: () => new Date(),
    kes: (clientOptions) => new KesClient(clientOptions),
    ...options,
  })
  expect(stderr).toBe('')
  const findings: Finding[] = JSON.parse(stdout)
  return { code, findings, wrong: wrongOf(findings) }
}

function wrongOf(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ result }) => result !== 'ok')
    .map(({ result, check, message }) => `${result} ${check}: ${message}`)
}

/** What is to be done about the only thing that is wrong. */
function remedyOf({ findings }: Pick<Examined, 'findings'>): Pick<Finding, 'advice' | 'commands'> {
  const wrong = findings.filter(({ result }) => result !== 'ok')
  expect(wrong).toHaveLength(1)
  const [{ advice, commands } = {}] = wrong
  return { ...(advice && { advice }), ...(commands && { commands }) }
}

test('docs/doctor.md has every check, and no other', () => {
  const sources = resolve(import.meta.dirname, '../../packages/kes-server/src/cli/doctor')
  const used = readdirSync(sources)
    .map((name) => readFileSync(join(sources, name), 'utf8'))
    .flatMap((text) => [...text.matchAll(/findings(?:\.\w+|\[grade\])\(\s*'(\w+)'/g)].map(([, word]) => word))
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/doctor.md'), 'utf8')
  const listed = [...page.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, words = '']) =>
    [...words.matchAll(/`(\w+)`/g)].map(([, word]) => word),
  )
  expect([...new Set(listed)].sort()).toEqual([...new Set(used)].sort())
})

describe('the way of a client', () => {
  let server: TestServer
  let app: Credentials

  beforeAll(async () => {
    app = await clientOf('app')
    server = await startTestServer({
      keys: ['my-key', 'locked', 'ending'],
      policies: {
        app: {
          allow: ['/v1/key/generate/my-*', '/v1/key/decrypt/my-*', '/v1/ready'],
          identities: [app.identity],
        },
        idle: { allow: ['/v1/key/generate/other*'], identities: [(await clientOf('idle')).identity] },
      },
    })
    await server.request('PUT', '/v1/key/disable/locked')
    await server.request('DELETE', '/v1/key/delete/ending?after=7d')
  })

  afterAll(() => server.stop())

  const asAdmin = (env: Readonly<Record<string, string>> = {}) => ({
    KES_SERVER: server.url,
    KES_API_KEY: server.apiKey.toString(),
    KES_CA_PATH: file('ca.crt', server.ca),
    ...env,
  })

  function as({ key, cert }: Credentials, env: Readonly<Record<string, string>> = {}) {
    const { KES_API_KEY, ...rest } = asAdmin(env)
    return { ...rest, KES_CLIENT_KEY: file('client.key', key), KES_CLIENT_CERT: file('client.crt', cert) }
  }

  test('is told step by step where all is well', async () => {
    const { code, stdout } = await runKes('doctor --key my-key', {
      env: asAdmin(),
      now: () => new Date(),
      kes: (options) => new KesClient(options),
    })
    expect(code).toBe(0)
    const shown = stdout
      .replaceAll(folder, 'FOLDER')
      .replaceAll(String(server.port), 'PORT')
      .replaceAll(server.admin.identity, 'IDENTITY')
      .replace(/until \S+Z/, 'until DATE')
    expect(shown).toBe(`this client
  ok       ca           the authorities that are trusted are those of 'FOLDER/ca.crt', which has 'CN=servers'
  ok       credentials  an API key, whose identity is IDENTITY
https://127.0.0.1:PORT
  ok       port         port PORT of 127.0.0.1 answers
  ok       tls          the server speaks TLSv1.3
  ok       chain        the certificate is signed by 'CN=servers', which leads to an authority that is trusted
  ok       names        the certificate is for '127.0.0.1'
  ok       expiry       the certificate is valid until DATE, for 89 days
  ok       clock        the clock here agrees with the server's
  ok       api          the server answers, version 0.1.0
  ok       store        the server is ready: its key store answers
  ok       identity     the server knows this client as the admin
  ok       policy       this client may create, generate and decrypt 'my-key'
  ok       key          'my-key' can be used: a data key was made with it, and decrypted again
no problems, no warnings
`)
    expect(stdout).not.toContain(server.apiKey.toString())
  })

  test('a problem comes with what to do about it', async () => {
    const { code, stdout } = await runKes('doctor --key locked', {
      env: asAdmin(),
      now: () => new Date(),
      kes: (options) => new KesClient(options),
    })
    expect(code).toBe(1)
    expect(stdout).toContain(`
  problem  key          'locked' is disabled
                        → whoever may, enables it, if it was not locked for a reason
                            kes key history locked
                            kes key enable locked
1 problem, no warnings
`)
  })

  test('ends at a name that is unknown', async () => {
    const env = asAdmin({ KES_SERVER: 'https://nowhere.invalid:7373' })
    const examined = await doctor({ env })
    expect(examined).toMatchObject({
      code: 1,
      wrong: ["problem name: the name 'nowhere.invalid' is unknown"],
    })
    expect(remedyOf(examined).commands).toEqual(['getent hosts nowhere.invalid'])
  })

  test('ends at a port that nobody listens on', async () => {
    const port = await freePort()
    const examined = await doctor({ env: asAdmin({ KES_SERVER: `127.0.0.1:${port}` }) })
    expect(examined).toMatchObject({
      code: 1,
      wrong: [`problem port: port ${port} of '127.0.0.1' does not answer: nothing listens there`],
    })
  })

  test('ends at a port that speaks no TLS', async () => {
    await using http = await listening(createHttpServer((_, reply) => reply.end()))
    const examined = await doctor({ env: asAdmin({ KES_SERVER: http.url }) })
    expect(examined).toMatchObject({
      code: 1,
      wrong: [
        `problem tls: something else than TLS answers on port ${http.port}, perhaps plain HTTP or a proxy`,
      ],
    })
    expect(remedyOf(examined).advice).toBe('correct the port of KES_SERVER')
  })

  test('leads past a CA that has not signed the certificate', async () => {
    const { certificate } = await authorityOf('others')
    const env = asAdmin({ KES_CA_PATH: file('others.crt', certificate.toString()) })
    const examined = await doctor({ env, args: ['--key', 'my-key'] })
    expect(examined).toMatchObject({
      code: 1,
      wrong: [
        `problem chain: the certificate is signed by 'CN=servers', which is not among '${folder}/others.crt', which has 'CN=others'`,
      ],
    })
    expect(remedyOf(examined).commands).toEqual([
      'export KES_CA_PATH=/path/to/ca.crt',
      `openssl s_client -connect 127.0.0.1:${server.port} -showcerts </dev/null`,
    ])
    // The rest is told all the same.
    expect(examined.findings.at(-1)).toMatchObject({ check: 'key', result: 'ok' })
    const unverified = await doctor({ env, args: ['-k'] })
    expect(unverified).toMatchObject({
      code: 0,
      wrong: [expect.stringMatching(/^warning chain: .* because of --insecure$/)],
    })
  })

  test('leads past a CA that was made anew under its old name', async () => {
    const keys = keyPairOf('servers anew', 'p256')
    const anew = makeCertificate({
      subjectCommonName: 'servers',
      publicKey: keys.publicKey,
      issuer: keys,
      isCa: true,
      validity: validityOf(1),
    })
    const { wrong } = await doctor({ env: asAdmin({ KES_CA_PATH: file('anew.crt', anew.toString()) }) })
    expect(wrong).toEqual([
      `problem chain: the certificate is signed by another key of 'CN=servers' than the one in '${folder}/anew.crt', which has 'CN=servers'`,
    ])
  })

  test('without a CA the system decides whom to trust', async () => {
    const { KES_CA_PATH, ...env } = asAdmin()
    expect((await doctor({ env })).wrong).toEqual([
      "problem chain: the certificate is signed by 'CN=servers', which is not among the system's authorities, as no CA is given",
    ])
  })

  test('a CA file that is missing, or none, is told, and what needs none is looked at', async () => {
    const { wrong } = await doctor({ env: asAdmin({ KES_CA_PATH: '/nowhere/ca.crt' }) })
    expect(wrong).toEqual(['problem ca: open /nowhere/ca.crt: no such file or directory'])
    const empty = file('empty.crt', '')
    expect((await doctor({ env: asAdmin({ KES_CA_PATH: empty }) })).wrong).toEqual([
      `problem ca: '${empty}' contains no PEM certificate`,
    ])
  })

  test.each([
    ['has ended', { validity: validityOf(-1) }, /^problem expiry: the certificate has ended at \S+Z$/],
    [
      'is not valid yet',
      { validity: { notBefore: new Date(Date.now() + DAY_MS), notAfter: new Date(Date.now() + 2 * DAY_MS) } },
      /^problem expiry: the certificate is not valid before \S+Z$/,
    ],
    ['ends soon', { validity: validityOf(9.5) }, /^warning expiry: the certificate ends at \S+Z, in 9 days$/],
    [
      'is for other names',
      { dnsNames: ['kes.example.com'], ipAddresses: [] },
      /^problem names: the certificate is not for '127.0.0.1', but for DNS:kes\.example\.com$/,
    ],
  ])("a server's certificate that %s is told", async (_, fields, finding) => {
    await using other = await servingWith(fields)
    const { wrong } = await doctor({ env: asAdmin({ KES_SERVER: other.url }) })
    expect(wrong.filter((text) => !text.includes(' api: '))).toEqual([expect.stringMatching(finding)])
  })

  test.each([
    [30_000, 0, "warning clock: the clock here is 30 s ahead of the server's"],
    [-3_600_000, 1, "problem clock: the clock here is 3600 s behind the server's"],
  ])('a clock that differs by %i ms is told', async (skewMs, code, finding) => {
    const examined = await doctor({ env: asAdmin(), now: () => new Date(Date.now() + skewMs) })
    expect(examined.code).toBe(code)
    expect(examined.wrong).toEqual([expect.stringMatching(`^${finding.replace(/\d+ s/, '\\d+ s')}$`)])
  })

  test('without credentials it says how to give some', async () => {
    const { KES_API_KEY, ...env } = asAdmin()
    const examined = await doctor({ env })
    expect(examined).toMatchObject({
      code: 1,
      wrong: ['problem credentials: no API key specified. Consider setting MINIO_KES_API_KEY'],
    })
  })

  test("a client's certificate that is a CA's is told, with the command that makes a right one", async () => {
    const keys = keyPairOf('client CA', 'p256')
    const env = as(credentialsOf(keys, await issueCertificate('client CA', { keys, isCa: true })))
    const { code, wrong, findings } = await doctor({ env })
    expect(code).toBe(1)
    expect(wrong[0]).toBe(
      `problem credentials: the certificate '${folder}/client.crt' is a CA's (CA:TRUE), and a CA's certificate has no identity`,
    )
    expect(findings.find(({ check }) => check === 'credentials')?.commands?.[0]).toMatch(
      /^openssl req -x509 .*CA:FALSE/,
    )
  })

  test("a client's certificate and key that don't belong together, or that others can read, are told", async () => {
    const env = as({ ...app, key: (await clientOf('other')).key })
    expect((await doctor({ env })).wrong).toEqual([
      `problem credentials: the private key '${folder}/client.key' is not that of the certificate '${folder}/client.crt'`,
    ])
    const open = as(app)
    chmodSync(open.KES_CLIENT_KEY, 0o644)
    expect((await doctor({ env: open })).wrong).toEqual([
      `warning files: every user of this machine can use the private key '${folder}/client.key'`,
    ])
  })

  test("a client's certificate that has ended, or is for servers, is warned of", async () => {
    const keys = keyPairOf('app')
    const ended = await issueCertificate('app', { keys, validity: validityOf(-1) })
    expect((await doctor({ env: as(credentialsOf(keys, ended)) })).wrong).toEqual([
      expect.stringMatching(
        /^warning credentials: the client's certificate has ended at \S+Z; a server with/,
      ),
    ])
    const ofServer = await issueCertificate('app', { keys, extendedKeyUsage: ['serverAuth'] })
    expect((await doctor({ env: as(credentialsOf(keys, ofServer)) })).wrong).toEqual([
      expect.stringMatching(/^warning credentials: .* clientAuth is missing from its extended key usage/),
    ])
  })

  test('an identity that the server does not know is told, with what to add', async () => {
    const stranger = await clientOf('stranger')
    const examined = await doctor({ env: as(stranger), args: ['--key', 'my-key'] })
    expect(examined).toMatchObject({
      code: 1,
      wrong: [
        `problem identity: the server knows the identity ${stranger.identity} neither as its admin nor from a policy`,
      ],
    })
    expect(remedyOf(examined).commands?.[0]).toBe(`identities: [${stranger.identity}]`)
  })

  test('a policy without the path is told, with the nearest rule and what to add', async () => {
    const idle = await clientOf('idle')
    const { code, wrong, findings } = await doctor({ env: as(idle), args: ['--key', 'my-key'] })
    expect(code).toBe(1)
    const nearest = "no rule of policy 'idle' allows it; the nearest is '/v1/key/generate/other*'"
    expect(wrong).toEqual([
      `warning policy: this client may not create 'my-key': ${nearest}; needed only while there is no such key`,
      `problem policy: this client may not generate 'my-key': ${nearest}`,
      `problem policy: this client may not decrypt 'my-key': ${nearest}`,
    ])
    const generate = findings.find(({ message }) => message.includes('not generate'))
    expect(generate).toMatchObject({
      advice: "add '/v1/key/generate/my-key' to 'allow' of policy 'idle'",
      commands: [`kes policy explain ${idle.identity} PUT /v1/key/generate/my-key`],
    })
  })

  test.each([
    ['locked', "problem key: 'locked' is disabled"],
    ['ending', "problem key: 'ending' is pending deletion: it will be erased"],
    ['none', "warning key: there is no key 'none'; a MinIO creates its own at its start"],
  ])('a key that can not be used is told: %s', async (key, finding) => {
    expect((await doctor({ env: asAdmin(), args: ['--key', key] })).wrong).toEqual([finding])
  })

  test("the key is MinIO's where its variable names one", async () => {
    const { wrong } = await doctor({ env: as(app, { MINIO_KMS_KES_KEY_NAME: 'my-missing' }) })
    expect(wrong).toEqual([
      expect.stringMatching(/^warning policy: this client may not create 'my-missing'/),
      "problem key: there is no key 'my-missing', and this client may not create it",
    ])
  })

  test("MinIO's way to write several servers is named as what it is here", async () => {
    const { wrong } = await doctor({ env: asAdmin({ KES_SERVER: 'https://kes{1...3}.example.com:7373' }) })
    expect(wrong).toEqual(['problem server: this is not the address of one server'])
  })

  test('every server of a list is looked at', async () => {
    const port = await freePort()
    const { findings } = await doctor({ env: asAdmin({ KES_SERVER: `127.0.0.1:${port},${server.url}` }) })
    const results = (subject: string) => findings.filter((each) => each.subject === subject).at(-1)?.result
    expect([results(`https://127.0.0.1:${port}`), results(server.url)]).toEqual(['problem', 'ok'])
  })
})

test('a server that verifies clients and refuses this one is told', async () => {
  await using server = await startTestServer({ clientCas: [] })
  const { code, wrong } = await doctor({
    env: {
      KES_SERVER: server.url,
      KES_API_KEY: server.apiKey.toString(),
      KES_CA_PATH: file('ca.crt', server.ca),
    },
  })
  expect(code).toBe(1)
  expect(wrong).toEqual([expect.stringMatching(/^problem api: the server does not answer: /)])
})

describe("a server's side", () => {
  let installation: Installation

  beforeEach(async () => {
    installation = await Installation.make({ keys: ['my-key'], workers: 1 })
    chmodSync(installation.folder, 0o700)
  })

  afterEach(() => installation[Symbol.dispose]())

  const examine = (...args: string[]) => doctor({ args: ['--config', installation.configFile, ...args] })

  /** Runs it as a user for whom permissions count; they don't for root. All files are given to that user. */
  async function examineAsNobody(): Promise<Examined> {
    if (IS_ROOT) installation.giveTo(NOBODY)
    const args = ['doctor', '--json', '--config', installation.configFile]
    const { code, stdout, stderr } = await runProcess(args, IS_ROOT ? { uid: NOBODY } : {})
    expect(stderr).toBe('')
    const findings: Finding[] = JSON.parse(stdout)
    return { code: code ?? -1, findings, wrong: wrongOf(findings) }
  }

  /** A folder that its owner may not look into. */
  function closedFolder(name: string): string {
    const path = join(installation.folder, name)
    mkdirSync(path, { mode: 0 })
    return path
  }

  /** Runs a server once, which makes the store. */
  async function makeStore(): Promise<void> {
    await using server = await installation.start()
    await server.stop()
  }

  const filesOf = () =>
    readdirSync(join(installation.folder, 'data')).map((name) => {
      const { size, mtimeMs } = statSync(join(installation.folder, 'data', name))
      return { name, size, mtimeMs }
    })

  test('is told item by item where all is well, and nothing is changed', async () => {
    await makeStore()
    const before = filesOf()
    const { code, stdout } = await runKes(['doctor', '--config', installation.configFile], {
      now: () => new Date(),
    })
    expect(filesOf()).toEqual(before)
    expect(code).toBe(0)
    const shown = stdout
      .replaceAll(installation.folder, 'FOLDER')
      .replace(/until \S+Z/, 'until DATE')
      .replace(/has \S+ left/, 'has SPACE left')
    expect(shown).toBe(`FOLDER/kes.yml
  ok       config       the file has no error
  ok       policy       there is an admin, and 0 identities in 0 policies
  ok       certificate  the private key is that of the certificate of 'CN=localhost'
  ok       chain        clients must trust 'CN=servers'; --ca FILE compares it with what they have
  ok       names        clients can connect by DNS:localhost, IP Address:127.0.0.1
  ok       expiry       the certificate is valid until DATE, for 89 days
  ok       seal         the store opens with the secret that the config names
  ok       store        the store has its keys: 1 enabled, 0 disabled, 0 pending deletion
  ok       clock        the clock is not behind the last change of a key
  ok       address      the system chooses a free port
  ok       disk         the disk of the store, 'FOLDER/data', has SPACE left
no problems, no warnings
`)
  })

  test('a running server is seen, and not disturbed', async () => {
    const port = await freePort()
    installation.editConfig('127.0.0.1:0', `127.0.0.1:${port}`)
    await using server = await installation.start()
    const { code, wrong, findings } = await examine()
    expect({ code, wrong }).toEqual({ code: 0, wrong: [] })
    const messages = findings.map(({ message }) => message)
    expect(messages).toContainEqual(
      expect.stringContaining(`the store is in use by the server with pid ${server.pid} on host`),
    )
    expect(messages).toContain(`the server with pid ${server.pid} listens on 127.0.0.1:${port}`)
    expect((await server.request('PUT', '/v1/key/disable/my-key')).status).toBe(200)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  test('what a killed server has left is read', async () => {
    await using server = await installation.start()
    expect((await server.request('PUT', '/v1/key/disable/my-key')).status).toBe(200)
    await server.stop('SIGKILL')
    const before = filesOf()
    const { wrong, findings } = await examine()
    expect(wrong).toEqual([])
    expect(findings.map(({ message }) => message)).toContain(
      'the store has its keys: 0 enabled, 1 disabled, 0 pending deletion',
    )
    expect(filesOf().map(({ name }) => name)).toEqual(before.map(({ name }) => name))
  })

  test('a port that another program has is told', async () => {
    await makeStore()
    await using other = await listening(createServer())
    installation.editConfig('127.0.0.1:0', `127.0.0.1:${other.port}`)
    const examined = await examine()
    expect(examined.wrong).toEqual([
      expect.stringMatching(
        `^problem address: 127.0.0.1:${other.port} is in use by '[^']+', pid ${process.pid}$`,
      ),
    ])
    expect(remedyOf(examined).commands?.[0]).toContain(`sport = :${other.port}`)
  })

  test("the console's address is looked at, too", async () => {
    await makeStore()
    await using other = await listening(createServer())
    installation.editConfig('"version"', `"console": {"address": "127.0.0.1:${other.port}"}, "version"`)
    const examined = await examine()
    expect(examined.wrong).toEqual([
      expect.stringMatching(`^problem address: 127.0.0.1:${other.port} is in use by `),
    ])
    expect(remedyOf(examined).advice).toBe("end it, or choose another 'console.address'")
    expect(examined.findings.map(({ message }) => message)).toContain(
      'the package of the console is installed',
    )
  })

  test('an address that this machine does not have is told', async () => {
    await makeStore()
    installation.editConfig('127.0.0.1:0', '192.0.2.1:7373') // RFC 5737: of nobody.
    const { wrong } = await examine()
    expect(wrong).toEqual([
      expect.stringMatching(/^warning names: the certificate is not for 192\.0\.2\.1/),
      'problem address: the server can not listen on 192.0.2.1:7373: no interface of this machine has that address',
    ])
  })

  test('root is told that it sees more than the server will', async ({ skip }) => {
    if (!IS_ROOT) skip('only root can give a file away')
    await makeStore()
    chownSync(installation.storeFile, 10_001, 10_001)
    const examined = await examine()
    expect(examined).toMatchObject({
      code: 0,
      wrong: ["warning user: this runs as root, who may do everything; the store's owner is user 10001"],
    })
    expect(remedyOf(examined).commands?.[0]).toMatch(/^setpriv --reuid=10001 --regid=10001 /)
  })

  test('every problem of the config file is told with its line', async () => {
    installation.editConfig('"version"', '"adress": 1,\n  "cache": {"expiry": {"any": "x"}},\n  "version"')
    const { code, wrong } = await examine()
    expect(code).toBe(1)
    expect(wrong).toEqual([
      expect.stringMatching(/^warning config: .*kes\.yml:2:3: warning: unknown field 'adress'/),
      expect.stringMatching(/^problem config: .*kes\.yml:3:/),
    ])
  })

  test("a private key that is not the certificate's is told", async () => {
    await makeStore()
    installation.write('server.key', (await clientOf('other')).key)
    const examined = await examine()
    const { folder: at } = installation
    expect(examined.wrong).toEqual([
      `problem certificate: failed to read TLS certificate: tls: private key type does not match public key type: '${at}/server.key' is not the key of '${at}/server.crt'`,
    ])
    expect(remedyOf(examined)).toEqual({
      advice: 'name files that belong together: these print the same key then',
      commands: [
        `openssl x509 -in ${at}/server.crt -noout -pubkey`,
        `openssl pkey -in ${at}/server.key -pubout`,
      ],
    })
  })

  test.each([
    ['no password', '"auth": "off"', /: https: private key is encrypted: password required$/],
    ['another password', '"password": "guess"', /: x509: decryption password incorrect$/],
  ])('an encrypted private key and %s in the config is told, with what to set', async (_, field, problem) => {
    await makeStore()
    const { privateKey } = keyPairOf('examined', 'p256')
    installation.write('server.key', encryptPrivateKey(privateKey, 'open sesame'))
    installation.editConfig('"tls": {', `"tls": { ${field},`)
    const examined = await examine()
    expect(examined.wrong).toEqual([expect.stringMatching(problem)])
    expect(remedyOf(examined)).toEqual({ advice: "set 'tls.password' to the password of the private key" })
  })

  test.each(['"auth": "off"', '"password": "open sesame"'])(
    'a private key that is encrypted as PKCS #8 has it is told, with what converts it: %j',
    async (field) => {
      await makeStore()
      const { privateKey } = keyPairOf('examined', 'p256')
      const encryption = { cipher: 'aes-256-cbc', passphrase: 'open sesame' } as const
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption })
      installation.write('server.key', pem)
      installation.editConfig('"tls": {', `"tls": { ${field},`)
      const examined = await examine()
      const path = join(installation.folder, 'server.key')
      expect(examined.wrong).toEqual([
        `problem certificate: failed to read TLS certificate: https: unsupported PEM data block in '${path}': the private key is encrypted as PKCS #8 has it`,
      ])
      const { advice, commands } = remedyOf(examined)
      expect(advice).toContain("in the form of RFC 1423, which 'tls.password' is for")
      expect(commands).toEqual([
        `openssl pkey -in ${path} -out ${path}.new -traditional -aes256`,
        `openssl pkey -in ${path} -out ${path}.new`,
      ])
    },
  )

  test('a folder of CAs that can not be read is told, and all else is looked at', async () => {
    await makeStore()
    const cas = closedFolder('cas')
    installation.editConfig('"tls": {', `"tls": { "auth": "on", "ca": "${cas}",`)
    const { wrong, findings } = await examineAsNobody()
    expect(wrong).toEqual([
      `problem certificate: failed to read TLS CA certificates: open ${cas}: permission denied`,
    ])
    expect(findings.at(-1)?.check).toBe('disk')
  })

  test('a private key in a folder that can not be looked into is told, and all else is looked at', async () => {
    await makeStore()
    const closed = closedFolder('closed')
    installation.editConfig('server.key', 'closed/server.key')
    const { wrong, findings } = await examineAsNobody()
    expect(wrong).toEqual([
      `problem certificate: failed to read TLS certificate: open ${closed}/server.key: permission denied`,
    ])
    expect(findings.at(-1)?.check).toBe('disk')
  })

  test.each([
    ['has ended', { validity: validityOf(-1) }, /^problem expiry: the certificate has ended at /],
    ['ends soon', { validity: validityOf(3.5) }, /^warning expiry: the certificate ends at \S+, in 3 days$/],
    [
      'is for other names',
      { dnsNames: ['kes.example.com'], ipAddresses: [] },
      /^warning names: the certificate is not for 127\.0\.0\.1, where the server listens, but for DNS:kes/,
    ],
    [
      'is for clients',
      { extendedKeyUsage: ['clientAuth'] as const },
      /^problem certificate: the certificate '.*' is not for servers: serverAuth is missing/,
    ],
  ])('a certificate that %s is told', async (_, fields, finding) => {
    await makeStore()
    await replaceCertificate(fields)
    expect((await examine()).wrong).toEqual([expect.stringMatching(finding)])
  })

  test('a certificate that clients do not trust, and a chain in the wrong order, are told', async () => {
    await makeStore()
    const { certificate: other } = await authorityOf('others')
    const { certificate: right } = await authorityOf('servers')
    const ca = file('ca.crt', other.toString())
    expect((await examine('--ca', file('right.crt', right.toString()))).wrong).toEqual([])
    expect((await examine('--ca', ca)).wrong).toEqual([
      `problem chain: the certificate is signed by 'CN=servers', which is not among '${ca}', which has 'CN=others'`,
    ])
    installation.write('server.crt', `${(await serverOf()).cert}${other}`)
    expect((await examine()).wrong).toEqual([
      `problem chain: certificate 2 of '${installation.folder}/server.crt', 'CN=others', has not signed the one before it`,
    ])
  })

  test('secrets that are open to others are told', async () => {
    await makeStore()
    chmodSync(installation.keyFile, 0o644)
    chmodSync(join(installation.folder, 'server.key'), 0o604)
    chmodSync(installation.storeFile, 0o640)
    expect((await examine()).wrong).toEqual([
      `problem files: the private key '${installation.folder}/server.key' is open to other users (mode 0604)`,
      `warning store: the store '${installation.storeFile}' is open to other users: run chmod 600 '${installation.storeFile}'`,
      `problem seal: the key file '${installation.keyFile}' is open to other users: run chmod 600 '${installation.keyFile}'`,
    ])
  })

  test('a password that stands in a config file that is open to others is told, and not printed', async () => {
    installation.editConfig('"key_file"', '"passphrase"')
    installation.editConfig(installation.keyFile, 'correct horse battery staple')
    chmodSync(installation.configFile, 0o644)
    const { findings, wrong } = await examine()
    expect(wrong).toContain(
      `problem files: the config file, which has a password in it, '${installation.configFile}' is open to other users (mode 0644)`,
    )
    expect(JSON.stringify(findings)).not.toContain('horse')
  })

  test('a secret that does not open the store is told', async () => {
    await makeStore()
    installation.write('root.key', randomBytes(32))
    expect((await examine()).wrong).toEqual(['problem seal: the key file does not open this store'])
  })

  test('a store that is damaged, or is none, is told', async () => {
    await makeStore()
    writeFileSync(installation.storeFile, randomBytes(65_536))
    expect((await examine()).wrong).toEqual([
      expect.stringMatching(/^problem store: the store '.*' can not be opened: it is not a SQLite database/),
    ])
  })

  test('a store that is not there yet is warned of', async () => {
    expect((await examine()).wrong).toEqual([
      `warning store: there is no store at '${installation.storeFile}': the first start makes one`,
    ])
  })

  test('a store in a folder that can not be looked into is told, and not that there is none', async () => {
    await makeStore()
    chmodSync(join(installation.folder, 'data'), 0)
    const examined = await examineAsNobody()
    const { storeFile } = installation
    expect(examined.wrong).toEqual([
      `problem store: the store '${storeFile}' can not be read: EACCES: permission denied, stat '${storeFile}'`,
    ])
    expect(remedyOf(examined).commands).toEqual([`namei -l ${storeFile}`])
  })

  describe('with an audit file', () => {
    const auditFolder = () => join(installation.folder, 'audit')

    beforeEach(async () => {
      installation[Symbol.dispose]()
      installation = await Installation.make({ workers: 1, audit: {} })
      await makeStore()
    })

    test('that can be written, or begun, all is well, and nothing is made', async () => {
      const before = installation.digests()
      expect((await examineAsNobody()).wrong).toEqual([])
      expect(installation.digests()).toEqual(before)
      rmSync(auditFolder(), { recursive: true })
      const { wrong, findings } = await examineAsNobody()
      expect(wrong).toEqual([])
      expect(findings).toContainEqual(
        expect.objectContaining({
          check: 'audit',
          message: `the audit file '${installation.auditFile}' can be written`,
        }),
      )
      expect(readdirSync(installation.folder)).not.toContain('audit')
    })

    test.each<[what: string, spoil: () => void, why: string]>([
      [
        'that is read-only',
        () => chmodSync(join(auditFolder(), 'audit-00000001.jsonl'), 0o400),
        "EACCES: permission denied, open 'FOLDER/audit/audit-00000001.jsonl'",
      ],
      [
        'in a folder where no next one can be made',
        () => chmodSync(auditFolder(), 0o500),
        "EACCES: permission denied, access 'FOLDER/audit'",
      ],
      [
        'in a folder that can not be made',
        () => {
          closedFolder('closed')
          installation.editConfig('/audit/audit.jsonl', '/closed/audit/audit.jsonl')
        },
        "EACCES: permission denied, access 'FOLDER/closed'",
      ],
      [
        'that is a folder',
        () => {
          rmSync(join(auditFolder(), 'audit-00000001.jsonl'))
          mkdirSync(join(auditFolder(), 'audit-00000001.jsonl'))
        },
        "EISDIR: illegal operation on a directory, open 'FOLDER/audit/audit-00000001.jsonl'",
      ],
      [
        'below a file',
        () => installation.editConfig('/audit/audit.jsonl', '/root.key/audit/audit.jsonl'),
        "'FOLDER/root.key' is not a folder",
      ],
    ])('%s it is told why the server can not write it', async (_, spoil, why) => {
      spoil()
      const { code, wrong } = await examineAsNobody()
      expect(code).toBe(1)
      expect(wrong.map((text) => text.replaceAll(installation.folder, 'FOLDER'))).toEqual([
        expect.stringMatching(
          /^problem audit: the audit file 'FOLDER\/.*\/audit\.jsonl' can not be written: /,
        ),
      ])
      expect(wrong[0]?.replaceAll(installation.folder, 'FOLDER')).toContain(why)
    })
  })

  test('a clock that is behind the last change is told', async () => {
    await makeStore()
    const findings = await examineConfig({
      file: installation.configFile,
      now: new Date(Date.now() - DAY_MS / 2),
    })
    expect(wrongOf(findings)).toEqual([
      expect.stringMatching(/^problem clock: it is .* here, but the last change of a key was at /),
    ])
  })

  test.each([
    [{ freeBytes: 1_000_000 }, /^problem disk: the disk of the store, '.*', has 1.0MB left: too little/],
    [{ freeBytes: 100_000_000 }, /^warning disk: the disk of the store, '.*', has 100.0MB left$/],
    [{ files: 1000, freeFiles: 3 }, /^problem disk: the disk of the store, '.*', has room for 3 more files$/],
    [{ files: 9000, freeFiles: 300 }, /^warning disk: .* has room for 300 more files$/],
  ])('a disk that is nearly full is told: %j', async (space, finding) => {
    await makeStore()
    const findings = await examineConfig({
      file: installation.configFile,
      now: new Date(),
      spaceOf: () => ({ freeBytes: 1e12, files: 0, freeFiles: 0, ...space }),
    })
    expect(wrongOf(findings)).toEqual([expect.stringMatching(finding)])
  })

  test('a folder of keys as the Go KES has it is looked into', async () => {
    using fs = await Installation.make({ store: 'fs', keys: ['my-key'], workers: 1 })
    const configured = () => doctor({ args: ['--config', fs.configFile] })
    const unmade = await configured()
    expect(unmade).toMatchObject({
      code: 0,
      wrong: [
        `warning store: there is no folder of keys at '${join(fs.folder, 'keys')}': the first start makes one`,
      ],
    })
    expect(remedyOf(unmade).advice).toMatch(/^if there should be one, correct its path: /)
    mkdirSync(join(fs.folder, 'keys'), { mode: 0o700 })
    expect((await configured()).wrong).toEqual([
      expect.stringMatching(/^warning store: there is no store at /),
    ])
    await using server = await fs.start()
    await server.stop()
    const { wrong, findings } = await configured()
    expect(wrong).toEqual([])
    expect(findings.map(({ message }) => message)).toContain(
      'the store has its keys: 1 enabled, 0 disabled, 0 pending deletion',
    )
    renameSync(join(fs.folder, 'keys'), join(fs.folder, 'elsewhere'))
    expect((await configured()).wrong).toEqual([
      expect.stringMatching(/^problem store: the folder of keys '.*keys' is gone, whose states are in '.*'$/),
    ])
  })

  async function replaceCertificate(fields: Partial<CertificateOptions>): Promise<void> {
    const { key, cert } = await certificateWith(fields)
    installation.write('server.key', key)
    installation.write('server.crt', cert)
  }
})

async function certificateWith(fields: Partial<CertificateOptions>): Promise<Credentials> {
  const issuer: Authority = await authorityOf('servers')
  const keys = keyPairOf('examined', 'p256')
  const certificate = makeCertificate({
    subjectCommonName: 'localhost',
    publicKey: keys.publicKey,
    issuer,
    ipAddresses: ['127.0.0.1'],
    extendedKeyUsage: ['serverAuth'],
    validity: validityOf(90),
    ...fields,
  })
  return credentialsOf(keys, certificate)
}

/** A server that shakes hands and says nothing. */
async function servingWith(fields: Partial<CertificateOptions>) {
  const { key, cert } = await certificateWith(fields)
  return await listening(createTlsServer({ key, cert }, (socket) => socket.destroy()))
}

async function listening(server: Server) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function freePort(): Promise<number> {
  await using server = await listening(createServer())
  return server.port
}
