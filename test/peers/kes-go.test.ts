/** The public Go SDK of KES, as MinIO and others use it, against the server: every call, by both kinds of callers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { KeystoreConfig } from '../../packages/kes-server/src/config/keystore-config.ts'
import { type Credentials, credentialsOf, issueCertificate, keyPairOf } from '../sandbox/certificates.ts'
import { fsKeystore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestPolicy, type TestServer } from '../sandbox/server.ts'
import { isPresent, peerTest, type Run, run } from './peer.ts'

const BUILD_TIMEOUT_MS = 300_000
/** As listing.go has it: more than one page of the server's, of names as long as names may be. */
const BULK_KEYS = Array.from(
  { length: 12_500 },
  (_, i) => `bulk_${'n'.repeat(69)}${String(i).padStart(6, '0')}`,
)

const KEY_CALLS = [
  ...['create', 'import', 'describe', 'delete', 'list', 'generate', 'encrypt', 'decrypt', 'hmac'],
  ...['enable', 'disable'],
]
const USER_POLICY = {
  allow: [
    ...KEY_CALLS.map((call) => `/v1/key/${call}/user-*`),
    ...['/v1/ready', '/v1/status', '/v1/metrics', '/v1/api', '/v1/policy/*', '/v1/identity/*', '/v1/log/*'],
  ],
  deny: KEY_CALLS.map((call) => `/v1/key/${call}/user-denied`),
} satisfies TestPolicy

/** One line of the program's output. */
interface Check {
  readonly check: string
  readonly ok: boolean
  readonly detail: string
}

/** The folder is one for each call. */
const STORES: readonly (readonly [title: string, make: () => KeystoreConfig])[] = [
  ['keys in memory', () => ({ type: 'memory' })],
  ["keys in the Go KES's folder", () => fsKeystore(mkdtempSync(join(folder, 'keys-')))],
]

let folder = ''
let program = ''

beforeAll(async () => {
  if (!isPresent('go')) return
  folder = mkdtempSync(join(tmpdir(), 'latchkey-kes-go-'))
  program = join(folder, 'kes-go')
  const source = fileURLToPath(new URL('kes-go', import.meta.url))
  const env = { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false' }
  const options = { cwd: source, env, timeoutMs: BUILD_TIMEOUT_MS }
  const build = await run('go', ['build', '-o', program, '.'], options)
  if (build.code !== 0) throw new Error(`go build: ${build.stderr}`)
}, BUILD_TIMEOUT_MS)

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true })
})

describe.each(STORES)('the Go SDK, with %s,', (_, makeStore) => {
  const goTest = goTestOf(makeStore)
  goTest('clients', 'connects by API key and by certificate, over both versions of HTTP and of TLS')
  goTest('keys', 'makes, imports, describes, uses and deletes keys')
  goTest('errors', 'knows each refusal by its own error values')
  goTest('limits', 'gets bodies of up to a million bytes through')
  goTest('locking', 'is not allowed to use a disabled key, whoever disabled it')
  goTest('listing', 'lists every key beyond a page once and in order', BULK_KEYS)
  goTest('policies', 'reads policies and identities, and its own')
  goTest('server', 'reads version, status, readiness, APIs and metrics')
  goTest('logs', 'hears of audit and error events as they happen')
  goTest('connections', 'fails over, cancels, and makes hundreds of calls at once')
})

type GoTest = (group: string, title: string, keys?: readonly string[]) => void

/** Runs one group of the program's checks against a server of its own. */
function goTestOf(makeStore: () => KeystoreConfig): GoTest {
  return (group, title, keys = []) => peerTest('go', title, () => runGroup(group, makeStore(), keys), 240_000)
}

async function runGroup(group: string, keystore: KeystoreConfig, keys: readonly string[]): Promise<void> {
  const user = await makeUser()
  await using server = await startTestServer({
    policies: { user: { ...USER_POLICY, identities: [user.identity] }, empty: {} },
    keystore,
    keys,
  })
  const { code, stdout, stderr } = await runProgram(group, server, user)
  const checks = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Check => JSON.parse(line))

  expect(checks.filter(({ ok }) => !ok)).toEqual([])
  expect(checks).not.toEqual([])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(server.errorLog().filter(({ level }) => level === 'ERROR')).toEqual([])
}

/** The one with the policy: a certificate of P-256, where API keys make Ed25519. */
async function makeUser(): Promise<Credentials> {
  const keys = keyPairOf('user of the Go SDK', 'p256')
  return credentialsOf(keys, await issueCertificate('user', { keys }))
}

function runProgram(group: string, server: TestServer, user: Credentials): Promise<Run> {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const env = {
    KES_ENDPOINT: server.url,
    KES_CA_FILE: file('ca.crt', server.ca),
    KES_API_KEY: server.apiKey.toString(),
    KES_CLIENT_CERT_FILE: file('user.crt', user.cert),
    KES_CLIENT_KEY_FILE: file('user.key', user.key),
    KES_CLIENT_IDENTITY: user.identity,
  }
  return run(program, [group], { env })
}
