// What a script around KES reads, captured from the Go program, against this server: the same to the byte.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KesClient } from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { runKes } from './harness.ts'

const DATE = '\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}'
const RFC_3339 = '\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z'
const THIRTY_TWO_BYTES = Buffer.alloc(32, 7).toString('base64')
const BASE64 = '[A-Za-z0-9+/]+={0,2}'

let server: TestServer
let admin: string
let user: string

beforeAll(async () => {
  user = (await clientOf('user')).identity
  server = await startTestServer({
    keys: ['clik1', 'clik2'],
    policies: {
      'my-app': {
        allow: ['/v1/api', '/v1/key/create/my-app*'],
        deny: ['/v1/key/generate/my-app-internal*'],
        identities: [user],
      },
    },
  })
  admin = server.admin.identity
  await kes('key dek clik1') // A key that was used prints as one that was not.
})

afterAll(() => server.stop())

function kes(args: string) {
  const env = { KES_SERVER: server.url, KES_API_KEY: server.apiKey.toString() }
  return runKes(args, { env, kes: (options) => new KesClient({ ...options, ca: server.ca }) })
}

/** Lines as KES prints them; `DATE` and the like stand for what differs from run to run. */
function pattern(text: string): RegExp {
  const escaped = text
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replaceAll('DATE', DATE)
    .replaceAll('TIME', RFC_3339)
    .replaceAll('BASE64', BASE64)
    .replaceAll('SINCE', '\\d+ (?:seconds|minutes)')
    .replaceAll('COUNT', '\\d+')
    .replaceAll('SIZE', '\\d+\\.\\d(?:KB|MB)')
    .replaceAll('WORD', '[\\w.<>+-]+')
    .replaceAll('HOST', server.url.replace('https://', '').replaceAll('.', '\\.'))
    .replaceAll('ADMIN', admin)
    .replaceAll('USER', user)
  return new RegExp(`^${escaped}$`)
}

describe('plain and JSON output is KES’s', () => {
  test.each([
    ['key info -k clik1', 'Name        clik1\nAlgorithm   AES256\nDate        DATE\nOwner       ADMIN'],
    ['key info -k --json clik1', '{"name":"clik1","created_at":"TIME","created_by":"ADMIN"}\n'],
    ['key ls -k', 'Key\nclik1\nclik2\n'],
    ['key ls -k none', ''],
    ['key create -k made', ''],
    ['key rm -k made', ''],
    ['key dek -k clik1', '{"plaintext":"BASE64","ciphertext":"BASE64"}'],
    ['key encrypt -k clik1 hello', '{"ciphertext":"BASE64"}'],
    ['ls -k', 'Key\nclik1\nclik2\n'],
    ['ls -k -i', 'Identity\nIDENTITIES'],
    ['ls -k --json', '["clik1","clik2"]\n'],
    ['ls -k none', ''],
    ['ls -k -p', 'Policy\nmy-app\n'],
    ['ls -k -p --json', '["my-app"]\n'],
    ['ls -k -p none', ''],
    ['ls -k -i --json USER', '["USER"]\n'],
    ['policy ls -k my*', 'Policy\nmy-app\n'],
    ['identity ls -k USER', 'Identity\nUSER\n'],
    ['policy info -k my-app', 'Name        my-app\nDate        DATE\nCreated by  ADMIN\n'],
    ['policy info -k --json my-app', '{"name":"my-app","created_at":"TIME","created_by":"ADMIN"}\n'],
    [
      'policy show -k my-app',
      '{"allow":{"/v1/api":{},"/v1/key/create/my-app*":{}},"deny":{"/v1/key/generate/my-app-internal*":{}},' +
        '"created_at":"TIME","created_by":"ADMIN"}\n',
    ],
    [
      'key info -k --color never clik1',
      'Name        clik1\nAlgorithm   AES256\nDate        DATE\nOwner       ADMIN',
    ],
    ['key dek -k clik1 Y3R4', '{"plaintext":"BASE64","ciphertext":"BASE64"}'],
    ['key import -k imported KEY', ''],
    ['key rm -k imported', ''],
    ['key create -k one two', ''],
    ['key rm -k one two', ''],
    ['identity info -k', 'Identity    ADMIN\nCreated At  DATE\nRole        Admin\n'],
    [
      'identity info -k USER',
      'Identity    USER\nPolicy      my-app\nCreated At  DATE\nRole        User\nCreated By  ADMIN\n',
    ],
  ])('kes %s', async (args, text) => {
    const identities = [admin, user].sort().join('\n')
    const { code, stdout, stderr } = await kes(args.replace('USER', user).replace('KEY', THIRTY_TWO_BYTES))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(pattern(text.replace('IDENTITIES', `${identities}\n`)))
  })

  test.each([
    ['status -k --short', '● HOST\n'],
    [
      'status -k',
      '● HOST\n  Version  WORD\n  Uptime   SINCE\n  Latency  COUNTms\n  OS       WORD\n  CPUs     COUNT WORD\n' +
        '  Memory  \n  · Heap   SIZE\n  · Stack  SIZE\n',
    ],
    [
      'status -k --json',
      '{"version":"WORD","os":"WORD","arch":"WORD","uptime":COUNT,"num_cpu":COUNT,"num_cpu_used":COUNT,' +
        '"mem_heap_used":COUNT,"mem_stack_used":COUNT,"keystore_latency":COUNT}\n',
    ],
  ])('kes %s', async (args, text) => {
    // A disk that answers late, on a busy machine, is told of as a store that can not be reached.
    await vi.waitFor(async () => expect((await kes(args)).stdout).toMatch(pattern(text)), { timeout: 10_000 })
  })

  test('kes key decrypt gives back what kes key encrypt took', async () => {
    const { ciphertext } = JSON.parse((await kes('key encrypt clik1 hello')).stdout)
    const { stdout } = await kes(`key decrypt clik1 ${ciphertext}`)
    expect(stdout).toBe(`{"plaintext":"${Buffer.from('hello').toString('base64')}"}`)
  })
})

describe('failures are KES’s, with exit code 1', () => {
  test.each([
    ['key create -k clik1', 'failed to create key "clik1": key already exists'],
    ['key info -k none', 'failed to describe keys: key does not exist'],
    ['key rm -k none', 'failed to remove key "none": key does not exist'],
    ['key dek -k none', 'failed to derive key: key does not exist'],
    [
      'key decrypt -k clik1 aGVsbG8=',
      'failed to decrypt ciphertext: decryption failed: ciphertext is not authentic',
    ],
    ['key import -k x c2hvcnQ=', `failed to import "x": invalid key size for 'AES256'`],
    ['policy info -k nope', 'policy does not exist'],
    ['policy show -k nope', "failed to show policy 'nope': policy does not exist"],
    ['foo', `"foo" is not a kes command. See 'kes --help'`],
    ['key foo', `"foo" is not a key command. See 'kes key --help'`],
    ['key create --foo', "unknown flag: --foo. See 'kes key create --help'"],
    ['ls -i -p', "'-p / --policy' and '-i / --identity' must not be used at the same time"],
  ])('kes %s', async (args, message) => {
    const { code, stdout, stderr } = await kes(args)
    expect({ code, stdout, first: stderr.split('\n')[0] }).toEqual({
      code: 1,
      stdout: '',
      first: `Error: ${message}`,
    })
  })
})

describe('every command and every flag of KES is there', () => {
  const SERVER = ['-k', '--insecure']
  const OF_ENCLAVES = [...SERVER, '-e x', '--enclave x']
  const OF_LISTS = [...OF_ENCLAVES, '--json', '--color always']
  test.each([
    ['server', ['--addr :1', '--config x', '--dev', '--key x', '--cert x', '--auth on']],
    [
      'ls',
      [
        ...SERVER,
        '-a x',
        '--api-key x',
        '-s x',
        '--server x',
        '--json',
        '-i',
        '--identity',
        '-p',
        '--policy',
      ],
    ],
    ['key create', OF_ENCLAVES],
    ['key import', OF_ENCLAVES],
    ['key info', OF_LISTS],
    ['key ls', OF_LISTS],
    ['key rm', OF_ENCLAVES],
    ['key encrypt', OF_ENCLAVES],
    ['key decrypt', OF_ENCLAVES],
    ['key dek', OF_ENCLAVES],
    ['policy info', OF_LISTS],
    ['policy ls', OF_LISTS],
    ['policy show', OF_LISTS],
    ['identity', []],
    ['identity of', []],
    ['identity info', OF_LISTS],
    ['identity ls', OF_LISTS],
    [
      'identity new',
      ['--key x', '--cert x', '--ip ::1', '--dns x', '--expiry 1h', '--encrypt', '-f', '--force'],
    ],
    ['status', [...SERVER, '-s', '--short', '--api', '--json', '--color never']],
    ['metric', [...SERVER, '--rate 5s']],
    ['log', [...SERVER, '--audit', '--error', '--json']],
    ['migrate', ['--from x', '--to x', '-f', '--force', '--merge', '-k', '-s x', '-e x', '-a x']],
    ['update', ['-k', '-d', '-o x', '--os x', '--arch x', '--minisign-key x']],
  ])('kes %s', async (command, flags) => {
    for (const each of [...flags, '-h', '--help']) {
      const { code, stderr } = await runKes(`${command} ${each} --help`)
      expect([each, code, stderr.split('\n')[0]?.slice(0, 11)]).toEqual([each, 2, 'Usage: kes '])
    }
    if (command === 'update') return // It takes anything, and says what to do instead.
    const unknown = await runKes(`${command} --no-such-flag`)
    expect(unknown).toMatchObject({
      code: 1,
      stderr: `Error: unknown flag: --no-such-flag. See 'kes ${command} --help'\n`,
    })
  })
})

describe('a private key with a password', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'golden-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const files = () => ({ KES_CLIENT_KEY: join(folder, 'a.key'), KES_CLIENT_CERT: join(folder, 'a.crt') })
  const asked = 'Enter password for private key: '

  test('is made with a password that is asked for twice', async () => {
    const { KES_CLIENT_KEY: key, KES_CLIENT_CERT: cert } = files()
    const made = await runKes(['identity', 'new', '--key', key, '--cert', cert, '--encrypt'], {
      passwords: ['secret', 'secret'],
    })
    expect(made).toMatchObject({ code: 0, prompts: [asked, 'Confirm password for private key: '] })
    expect(readFileSync(key, 'utf8')).toMatch(
      /^-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,[0-9a-f]{32}\n\n/i,
    )
  })

  test('is asked for by every command that uses it, once', async () => {
    for (const command of ['status', 'key ls', 'policy ls', 'identity ls', 'ls', 'log', 'key rm x']) {
      const { prompts } = await runKes(command, { env: files(), passwords: ['secret'] })
      expect([command, prompts]).toEqual([command, [asked]])
    }
    const wrong = await runKes('key ls', { env: files(), passwords: ['wrong'] })
    expect(wrong).toMatchObject({ code: 1, stdout: '', stderr: 'Error: incorrect password\n' })
    const withoutTerminal = await runKes('key ls', { env: files() })
    expect(withoutTerminal.stderr).toBe('Error: reading password: inappropriate ioctl for device\n')
  })
})

test('a key whose deletion is scheduled says so, and when', async () => {
  await kes('key create waiting')
  await kes('key rm --after 7d waiting')
  const { stdout } = await kes('key info waiting')
  expect(stdout).toMatch(
    pattern(
      'Name        waiting\nAlgorithm   AES256\nDate        DATE\nOwner       ADMIN\nState       pending deletion\nDeletion    DATE',
    ),
  )
  await kes('key cancel-deletion waiting')
  expect((await kes('key info waiting')).stdout).toMatch(/\nState {7}disabled$/)
  await kes('key enable waiting')
  expect((await kes('key info waiting')).stdout).not.toContain('State')
  expect((await kes('key info --json waiting')).stdout).toMatch(
    pattern('{"name":"waiting","created_at":"TIME","created_by":"ADMIN"}\n'),
  )
})

test('kes update has no place, and says so', async () => {
  const { code, stdout, stderr } = await runKes('update')
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^Error: \S/)
})

test('a key that is not enabled says so in a line of its own, and in JSON', async () => {
  await kes('key disable clik2')
  expect((await kes('key info clik2')).stdout).toMatch(
    pattern(
      'Name        clik2\nAlgorithm   AES256\nDate        DATE\nOwner       ADMIN\nState       disabled',
    ),
  )
  expect(JSON.parse((await kes('key info --json clik2')).stdout)).toMatchObject({ state: 'disabled' })
  await kes('key enable clik2')
})
