/** Of all that is wrong with a request, KES reports what it checks first: the order of section 4. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectError, NOT_ALLOWED } from './replies.ts'

let server: TestServer
let nobody: Credentials

beforeAll(async () => {
  nobody = await clientOf('nobody')
  server = await startTestServer({ keys: ['locked'], api: { '/v1/ready': { skipAuth: true } } })
  await server.request('PUT', '/v1/key/disable/locked')
})

afterAll(() => server.stop())

const WITH_BODY = ['import', 'generate', 'encrypt', 'decrypt', 'hmac'] as const
const badName = (name: string) => `key name '${name}' is empty, too long or contains invalid characters`
const badBody = (api: string) =>
  api === 'import' ? 'invalid import key request body' : 'invalid request body'

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (api: string, name: string, as: Credentials | null, body = '{', method = 'PUT') =>
    server.request(method, `/v1/key/${api}/${name}`, { protocol, as, body })

  test.each(WITH_BODY)('%s: the method before the identity', async (api) => {
    const reply = await ask(api, 'a..', null, '{', 'GET')
    expectError(reply, 405, "received method 'GET' expected 'PUT'", 'MethodNotAllowed')
  })

  test.each(WITH_BODY)('%s: the identity before the policy, the name and the body', async (api) => {
    expectError(
      await ask(api, 'a..', null),
      400,
      'tls: client certificate is required',
      'CertificateRequired',
    )
  })

  test.each(WITH_BODY)('%s: the policy before the name and the body', async (api) => {
    expectError(await ask(api, 'a..', nobody), 403, NOT_ALLOWED, 'NotAllowed')
  })

  test.each(WITH_BODY)('%s: the name before the body', async (api) => {
    expectError(await ask(api, 'a..', server.admin), 400, badName('a..'), 'InvalidName')
  })

  test.each(WITH_BODY)('%s: the body before the key is looked up', async (api) => {
    for (const name of ['no-such-key', 'locked']) {
      expectError(await ask(api, name, server.admin), 400, badBody(api), 'InvalidBody')
    }
  })

  test.each(WITH_BODY.slice(1))('%s: the key before what the body says', async (api) => {
    const body = JSON.stringify({ ciphertext: 'AAAA', plaintext: '' })
    expectError(await ask(api, 'no-such-key', server.admin, body), 404, 'key does not exist', 'KeyNotFound')
    expectError(await ask(api, 'locked', server.admin, body), 403, NOT_ALLOWED, 'KeyDisabled')
  })

  test('import: the algorithm before the length of the key, and both before the name is taken', async () => {
    const key = Buffer.alloc(31).toString('base64')
    const send = (fields: object) => ask('import', 'locked', server.admin, JSON.stringify(fields))
    expectError(
      await send({ key, cipher: 'AES' }),
      406,
      "algorithm 'AES' is not supported",
      'UnsupportedAlgorithm',
    )
    expectError(await send({ key, cipher: 'AES256' }), 406, "invalid key size for 'AES256'", 'InvalidKeySize')
    const whole = Buffer.alloc(32, 7).toString('base64')
    expectError(await send({ key: whole, cipher: 'AES256' }), 400, 'key already exists', 'KeyExists')
  })

  test.each([
    ['PUT', '/v1/key/create/a..'],
    ['GET', '/v1/key/describe/a..'],
    ['DELETE', '/v1/key/delete/a..'],
    ['PUT', '/v1/key/enable/a..'],
    ['PUT', '/v1/key/disable/a..'],
    ['GET', '/v1/key/list/a..'],
    ['GET', '/v1/policy/describe/a..'],
    ['GET', '/v1/policy/read/a..'],
    ['GET', '/v1/policy/list/a..'],
    ['GET', '/v1/identity/describe/a..'],
    ['GET', '/v1/identity/list/a..'],
  ])('%s %s: who may not ask learns nothing of the name', async (method, path) => {
    expectError(await server.request(method, path, { protocol, as: nobody }), 403, NOT_ALLOWED, 'NotAllowed')
  })

  test('who may not ask learns nothing of the keys', async () => {
    for (const [method, api] of [
      ['GET', 'describe'],
      ['DELETE', 'delete'],
      ['PUT', 'create'],
      ['PUT', 'disable'],
    ] as const) {
      for (const name of ['locked', 'no-such-key']) {
        const reply = await server.request(method, `/v1/key/${api}/${name}`, { protocol, as: nobody })
        expectError(reply, 403, NOT_ALLOWED, 'NotAllowed')
      }
    }
    expect((await server.request('GET', '/v1/key/describe/locked', { protocol })).status).toBe(200)
  })
})
