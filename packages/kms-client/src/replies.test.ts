import { describe, expect, test } from 'vitest'
import { KesProtocolError } from './errors.ts'
import {
  decodeApis,
  decodeAuditEvent,
  decodeBytes,
  decodeDataKey,
  decodeErrorEvent,
  decodeIdentityInfo,
  decodeKeyDetails,
  decodeKeyInfo,
  decodeKeysChanged,
  decodeNames,
  decodePolicy,
  decodeSelfInfo,
  decodeStatus,
  decodeVersion,
} from './replies.ts'

function json(text: string) {
  return { contentType: 'application/json', body: Buffer.from(text) }
}

describe('a reply that no key server gives is refused, and names the field', () => {
  test.each([
    ['is not JSON', () => decodeVersion('/version', json('<html>'))],
    ['is not JSON', () => decodeVersion('/version', json(''))],
    ['is not JSON', () => decodeVersion('/version', json('{"version":"1"} trailing'))],
    ['is not an object', () => decodeVersion('/version', json('null'))],
    ['is not an object', () => decodeVersion('/version', json('["version"]'))],
    ["has no text in 'version'", () => decodeVersion('/version', json('{}'))],
    ["has no text in 'version'", () => decodeVersion('/version', json('{"version":1}'))],
    ["has no base64 in 'plaintext'", () => decodeDataKey('/k', json('{"plaintext":"AA","ciphertext":""}'))],
    ["has no text in 'ciphertext'", () => decodeDataKey('/k', json('{"plaintext":"AAAA"}'))],
    ["has no text in 'plaintext'", () => decodeBytes('plaintext')('/k', json('{"plaintext":null}'))],
    ["has no list in 'names'", () => decodeNames('names')('/l', json('{}'))],
    ["has something else than texts in 'names'", () => decodeNames('names')('/l', json('{"names":[1]}'))],
    ["has no list in 'keys'", () => decodeKeyDetails('/l', json('{"names":["a"]}'))],
    ['keys is not an object', () => decodeKeyDetails('/l', json('{"keys":["a"]}'))],
    ["has no number in 'changed'", () => decodeKeysChanged('/e', json('{"matched":1}'))],
    ['is not a list', () => decodeApis('/v1/api', json('{}'))],
    ['request is not an object', () => decodeAuditEvent('/log', '{"time":"x"}')],
    ["has no true or false in 'admin'", () => decodeIdentityInfo('/i', json('{"admin":1}'))],
  ])('%s', (problem, decode) => {
    expect(decode).toThrow(KesProtocolError)
    expect(decode).toThrow(problem)
  })

  test('without a word of its content, which may be a data key', () => {
    try {
      decodeDataKey('/v1/key/generate/a', json('{"plaintext":"c2VjcmV0", oops'))
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain('c2Vj')
      expect(error).not.toHaveProperty('cause')
    }
  })
})

describe('a key', () => {
  test('of a Go KES has no state, and perhaps no creator', () => {
    const text = '{"name":"a","algorithm":"AES256","created_at":"2026-11-24T01:42:04.115739409Z"}\n'
    expect(decodeKeyInfo('/k', json(text))).toEqual({
      name: 'a',
      algorithm: 'AES256',
      createdAt: '2026-11-24T01:42:04.115739409Z',
    })
  })

  test('of Latchkey tells its state and its last change', () => {
    const text = `{"name":"a","algorithm":"ChaCha20","created_at":"x","created_by":"44f9",
      "state":"disabled","revision":2,"changed_at":"y","changed_by":"1d3f","later":{}}`
    expect(decodeKeyInfo('/k', json(text))).toEqual({
      name: 'a',
      algorithm: 'ChaCha20',
      createdAt: 'x',
      createdBy: '44f9',
      state: 'disabled',
      revision: 2,
      changedAt: 'y',
      changedBy: '1d3f',
    })
  })

  test('that is damaged is listed with its name alone', () => {
    const text = `{"keys":[{"name":"a","state":"damaged"},
      {"name":"b","algorithm":"AES256","created_at":"x","state":"enabled","revision":1}],"continue_at":"*b"}`
    expect(decodeKeyDetails('/l', json(text))).toEqual({
      items: [
        { name: 'a', state: 'damaged' },
        { name: 'b', algorithm: 'AES256', createdAt: 'x', state: 'enabled', revision: 1 },
      ],
      continueAt: '*b',
    })
  })
})

describe('names', () => {
  const decode = decodeNames('names')

  test.each(['{"names":null}', '{"names":[],"continue_at":""}', '{"names":[]}'])(
    '%s is the empty list',
    (text) => {
      expect(decode('/l', json(text))).toEqual({ items: [] })
    },
  )

  test('may come as lines, as old servers send them', () => {
    const body = Buffer.from('{"name":"a"}\n{"name":"b"}\n')
    expect(decode('/l', { contentType: 'application/x-ndjson', body })).toEqual({ items: ['a', 'b'] })
  })
})

describe('the status', () => {
  const running = '"version":"v","os":"linux","arch":"amd64","uptime":23,"num_cpu":2,"num_cpu_used":1'

  test('tells how long the key store takes', () => {
    const text = `{${running},"mem_heap_used":4,"mem_stack_used":6,"keystore_latency":1}`
    expect(decodeStatus('/v1/status', json(text))).toEqual({
      version: 'v',
      os: 'linux',
      arch: 'amd64',
      uptimeSeconds: 23,
      cpus: 2,
      cpusUsed: 1,
      heapUsedBytes: 4,
      stackUsedBytes: 6,
      keyStoreLatencyMs: 1,
      isKeyStoreAvailable: true,
      isKeyStoreReachable: true,
    })
  })

  test.each([
    ['"keystore_unreachable":true', false, false],
    ['"keystore_unavailable":true', false, true],
    ['"keystore_unavailable":true,"keystore_unreachable":true', false, false],
  ])('with %s says so', (fields, isKeyStoreAvailable, isKeyStoreReachable) => {
    const status = decodeStatus('/v1/status', json(`{${running},${fields}}`))
    expect(status).toMatchObject({ isKeyStoreAvailable, isKeyStoreReachable })
    expect(status).not.toHaveProperty('keyStoreLatencyMs')
  })
})

test('a policy without rules has empty lists', () => {
  const text = '{"name":"p","allow":{"/v1/api":{},"/v1/key/create/a*":{}},"created_at":"x","created_by":"y"}'
  expect(decodePolicy('/p', json(text))).toEqual({
    name: 'p',
    createdAt: 'x',
    createdBy: 'y',
    allow: ['/v1/api', '/v1/key/create/a*'],
    deny: [],
  })
})

test('the admin has no policy, and everybody else has one with its rules', () => {
  const admin = decodeSelfInfo('/self', json('{"identity":"44f9","admin":true,"created_at":"x"}'))
  expect(admin).toEqual({ identity: '44f9', isAdmin: true, createdAt: 'x', allow: [], deny: [] })

  const text =
    '{"identity":"1d","created_at":"x","created_by":"44","policy":"p","deny":{"/v1/key/delete/*":{}}}'
  expect(decodeSelfInfo('/self', json(text))).toEqual({
    identity: '1d',
    isAdmin: false,
    policy: 'p',
    createdAt: 'x',
    createdBy: '44',
    allow: [],
    deny: ['/v1/key/delete/*'],
  })
})

test('events of the logs are read as the Go KES writes them', () => {
  const audit = `{"time":"2026-11-24T01:55:25.869110231Z","request":{"ip":"127.0.0.1","path":"/v1/key/create/logx",
    "identity":"44f9"},"response":{"code":200,"time":1}}`
  expect(decodeAuditEvent('/log', audit)).toEqual({
    time: '2026-11-24T01:55:25.869110231Z',
    ip: '127.0.0.1',
    identity: '44f9',
    path: '/v1/key/create/logx',
    status: 200,
    responseTime: 1,
  })
  expect(decodeErrorEvent('/log', '{"message":"time=x level=ERROR"}')).toEqual({
    message: 'time=x level=ERROR',
  })
})

test('an API without limits has zeros', () => {
  const text =
    '[{"method":"GET","path":"/v1/log/audit"},{"method":"PUT","path":"/v1/key/import/","max_body":1000000,"timeout":15}]'
  expect(decodeApis('/v1/api', json(text))).toEqual([
    { method: 'GET', path: '/v1/log/audit', bodyBytesMax: 0, timeoutSeconds: 0 },
    { method: 'PUT', path: '/v1/key/import/', bodyBytesMax: 1000000, timeoutSeconds: 15 },
  ])
})
