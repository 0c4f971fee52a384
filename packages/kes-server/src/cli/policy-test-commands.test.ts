import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ADMIN, FakeKes, IDENTITY, runKes } from '../../../../test/kes-cli/harness.ts'
import { parseConfig } from '../config/load-config.ts'

const STRANGER = 'd'.repeat(64)
const PROXY = 'e'.repeat(64)
const GENEROUS = 'f'.repeat(64)

let folder: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'policy-test-'))
  file = join(folder, 'kes.yml')
  writeFileSync(
    file,
    `admin: {identity: ${ADMIN}}
tls: {key: k, cert: c, proxy: {identities: [${PROXY}], header: {cert: X-Cert}}}
policy:
  my-app:
    allow: [/v1/key/create/my-app*, /v1/key/generate/my-app*, /v1/key/list/my-app*]
    deny: [/v1/key/generate/my-app-internal*]
    identities: [${IDENTITY}]
  idle: {}
  generous:
    allow: [/v1/*]
    identities: [${GENEROUS}]
api:
  /v1/ready: {skip_auth: true}
  /v1/seal/rotate-root: {skip_auth: true}
keystore: {fs: {path: keys}}
`,
  )
})

afterEach(() => rmSync(folder, { recursive: true }))

function ask(command: string, who: string, call: string) {
  return runKes(['policy', command, '--config', file, who, ...call.split(' ')])
}

/** Without the rows that repeat the question. */
async function explained(who: string, call: string): Promise<string[]> {
  const { stdout } = await ask('explain', who, call)
  return stdout
    .trimEnd()
    .split('\n')
    .slice(1)
    .filter((line) => !line.startsWith('Request'))
}

describe('kes policy test', () => {
  test.each([
    [IDENTITY, 'PUT /v1/key/create/my-app-1', true],
    [IDENTITY, 'POST /v1/key/create/my-app-1', true],
    [IDENTITY.toUpperCase(), 'put /v1/key/generate/my-app', true],
    [IDENTITY, 'PUT /v1/key/generate/my-app-internal-1', false],
    [IDENTITY, 'PUT /v1/key/decrypt/my-app-1', false],
    [IDENTITY, 'GET /v1/key/list/my-app', true],
    [IDENTITY, 'GET /v1/key/create/my-app-1', false],
    [IDENTITY, 'GET /v1/no/such/api', false],
    [IDENTITY, 'GET /v1/identity/self/describe', true],
    [STRANGER, 'PUT /v1/key/create/my-app-1', false],
    [STRANGER, 'GET /v1/ready', true],
    [STRANGER, 'GET /v1/status', false],
    [ADMIN, 'DELETE /v1/key/delete/anything', true],
    [ADMIN, 'GET /v1/seal/describe', true],
    [GENEROUS, 'GET /v1/key/list/', true],
    [GENEROUS, 'GET /v1/seal/describe', false],
    [GENEROUS, 'PUT /v1/backup/create', false],
    [STRANGER, 'PUT /v1/seal/rotate-root', false],
  ])('%s: %s', async (who, call, isAllowed) => {
    const word = isAllowed ? 'allowed\n' : 'denied\n'
    expect(await ask('test', who, call)).toMatchObject({ code: isAllowed ? 0 : 1, stdout: word, stderr: '' })
  })

  test('asks the server without a config file', async () => {
    const kes = new FakeKes()
    const asked = (who: string, path: string) => runKes(`policy test -k ${who} PUT ${path}`, { kes })
    expect(await asked(IDENTITY, '/v1/key/create/my-app')).toMatchObject({ code: 0, stdout: 'allowed\n' })
    expect(await asked(IDENTITY, '/v1/key/create/other')).toMatchObject({ code: 1, stdout: 'denied\n' })
    expect(await asked(ADMIN, '/v1/key/create/other')).toMatchObject({ code: 0, stdout: 'allowed\n' })
    expect(await asked(STRANGER, '/v1/key/create/other')).toMatchObject({ code: 1, stdout: 'denied\n' })
    const inCapitals = await asked(IDENTITY.toUpperCase(), '/v1/key/create/my-app')
    expect(inCapitals).toMatchObject({ code: 0, stdout: 'allowed\n' })
  })

  test('prints JSON for a script', async () => {
    const { code, stdout } = await runKes([
      ...['policy', 'test', '--json', '--config', file],
      ...[IDENTITY, 'PUT', '/v1/key/generate/my-app-internal'],
    ])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      allowed: false,
      policy: 'my-app',
      status: 403,
      rule: '/v1/key/generate/my-app-internal*',
    })
  })

  test.each([
    ['policy test', 'no identity specified'],
    ['policy test a', 'no method specified'],
    ['policy explain a PUT', 'no path specified'],
  ])('kes %s is refused', async (args, message) => {
    const name = args.split(' ')[1]
    expect(await runKes(args)).toMatchObject({
      code: 1,
      stderr: `Error: ${message}. See 'kes policy ${name} --help'\n`,
    })
  })
})

describe('kes policy explain', () => {
  test('names the rule that decides', async () => {
    expect(await explained(IDENTITY, 'PUT /v1/key/create/my-app-1')).toEqual([
      'Policy      my-app',
      "Answer      allowed: rule '/v1/key/create/my-app*' of policy 'my-app' allows it",
    ])
    expect(await explained(IDENTITY, 'PUT /v1/key/generate/my-app-internal')).toEqual([
      'Policy      my-app',
      "Answer      denied (403): rule '/v1/key/generate/my-app-internal*' of policy 'my-app' denies it",
      "To allow it an 'allow' does not help: take '/v1/key/generate/my-app-internal*' out of 'deny', or narrow it",
    ])
  })

  test('names the nearest rule where none decides, and what to add', async () => {
    expect(await explained(IDENTITY, 'PUT /v1/key/generate/myapp-1')).toEqual([
      'Policy      my-app',
      "Answer      denied (403): no rule of policy 'my-app' allows it",
      "Nearest     rule '/v1/key/generate/my-app*', which does not match",
      "To allow it add '/v1/key/generate/myapp-1' to 'allow' of policy 'my-app'",
    ])
  })

  test('says who needs no rule, and who has none', async () => {
    expect(await explained(ADMIN, 'GET /v1/status')).toEqual([
      'Policy      -',
      'Answer      allowed: the identity is the admin, who may call everything',
    ])
    expect(await explained(STRANGER, 'GET /v1/status')).toEqual([
      'Policy      -',
      'Answer      denied (403): the identity has no policy',
      "To allow it add the identity to the 'identities' of a policy",
    ])
    expect(await explained(PROXY, 'GET /v1/status')).toEqual([
      'Policy      -',
      'Answer      denied (400): the identity is a TLS proxy',
      'To allow it ask for the identity whose certificate it forwards',
    ])
    expect(await explained(STRANGER, 'GET /v1/ready')).toEqual([
      'Policy      -',
      "Answer      allowed: 'skip_auth' opens /v1/ready to everybody",
    ])
  })

  test('tells a path or a method that no API has from a refusal', async () => {
    expect(await explained(IDENTITY, 'GET /v1/key/create/my-app')).toContain(
      'Answer      denied (405): the API takes PUT or POST, not GET',
    )
    expect(await explained(IDENTITY, 'GET /v1/statsu')).toEqual([
      'Policy      my-app',
      'Answer      denied (404): no API has this path',
      "To allow it paths are those of 'kes status --api', such as /v1/status",
    ])
  })
})

describe('kes policy template', () => {
  test('prints a policy that a config file takes without a warning, and an environment for MinIO', async () => {
    const { code, stdout } = await runKes(`policy template minio minio-* --identity ${IDENTITY}`)
    expect(code).toBe(0)
    const [, policy = '', environment = ''] = /^([\s\S]*?)\n\n([\s\S]*)$/.exec(stdout) ?? []
    const text = `admin: {identity: ${ADMIN}}\ntls: {key: k, cert: c}\nkeystore: {fs: {path: keys}}\n${policy}\n`
    const { config, warnings } = parseConfig(text, { file: 'f', env: {} })
    expect(warnings).toEqual([])
    expect(config.policies).toMatchObject([{ name: 'minio', identities: [IDENTITY] }])
    expect(config.policies[0]?.allow).toContain('/v1/key/generate/minio-*')
    expect(environment).toContain('\nMINIO_KMS_KES_ENDPOINT=https://127.0.0.1:7373\n')
    expect(environment).toContain('\nMINIO_KMS_KES_KEY_NAME=minio-default\n')
  })

  test('refers to a variable for an identity that it is not told', async () => {
    const { stdout } = await runKes('policy template minio my-key', {
      env: { KES_SERVER: 'kes.example:7373' },
    })
    expect(stdout).toContain(`    - $${'{MINIO_IDENTITY}'}\n`)
    expect(stdout).toContain('    - /v1/key/decrypt/my-key\n')
    expect(stdout).toContain('MINIO_KMS_KES_ENDPOINT=https://kes.example:7373\n')
  })

  test.each([
    ['policy template', "no program specified. See 'kes policy template --help'"],
    [
      'policy template vault x',
      `no template for "vault": there is one for minio. See 'kes policy template --help'`,
    ],
    ['policy template minio', "no key name specified. See 'kes policy template --help'"],
    ['policy template minio a.b', "key name 'a.b' is empty, too long or contains invalid characters"],
  ])('kes %s is refused', async (args, message) => {
    expect(await runKes(args)).toMatchObject({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
  })
})
