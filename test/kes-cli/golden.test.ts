// What a script around KES reads, captured from the Go program, against this server: the same to the byte.
import { KesClient } from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { runKes } from './harness.ts'

const DATE = '\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}'
const RFC_3339 = '\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z'
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
    ['policy info -k my-app', 'Name        my-app\nDate        DATE\nCreated by  ADMIN\n'],
    ['policy info -k --json my-app', '{"name":"my-app","created_at":"TIME","created_by":"ADMIN"}\n'],
    [
      'policy show -k my-app',
      '{"allow":{"/v1/api":{},"/v1/key/create/my-app*":{}},"deny":{"/v1/key/generate/my-app-internal*":{}},' +
        '"created_at":"TIME","created_by":"ADMIN"}\n',
    ],
    ['identity info -k', 'Identity    ADMIN\nCreated At  DATE\nRole        Admin\n'],
    [
      'identity info -k USER',
      'Identity    USER\nPolicy      my-app\nCreated At  DATE\nRole        User\nCreated By  ADMIN\n',
    ],
  ])('kes %s', async (args, text) => {
    const identities = [admin, user].sort().join('\n')
    const { code, stdout, stderr } = await kes(args.replace('USER', user))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(pattern(text.replace('IDENTITIES', `${identities}\n`)))
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
