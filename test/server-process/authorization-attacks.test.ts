/** Requests of a client that wants more than its policy allows: by the path, the headers, a name, a pattern. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { FrameType, request, requestFields, statusOf } from './http2-frames.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import type { ServerProcess } from './server-process.ts'

let installation: Installation
let server: ServerProcess
let mallory: Credentials

beforeAll(async () => {
  mallory = await clientOf('mallory')
  installation = await Installation.make({
    keys: ['app-one', 'app-secret', 'other', '__proto__', 'constructor'],
    policies: {
      mallory: {
        allow: ['/v1/*'],
        deny: [
          '/v1/metrics',
          '/v1/log/audit',
          '/v1/log/error',
          '/v1/key/list/',
          '/v1/key/list/app-secret*',
          '/v1/key/delete/*',
          '/v1/key/import/*',
          ...['create', 'describe', 'generate', 'encrypt', 'decrypt', 'hmac', 'enable', 'disable'].flatMap(
            (api) => [`/v1/key/${api}/app-secret`, `/v1/key/${api}/other`],
          ),
        ],
        identities: [mallory.identity],
      },
    },
  })
  server = await installation.start()
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

const FORBIDDEN = [
  ['GET', '/v1/metrics'],
  ['GET', '/v1/log/audit'],
  ['GET', '/v1/key/list/app-secret'],
  ['GET', '/v1/key/describe/other'],
  ['PUT', '/v1/key/generate/other'],
  ['PUT', '/v1/key/disable/app-secret'],
  ['DELETE', '/v1/key/delete/app-one'],
] as const

/** The bytes of a request target that mean `path` to somebody, perhaps. */
const DISGUISES: readonly (readonly [name: string, disguise: (path: string) => string])[] = [
  ['as it is', (path) => path],
  ['a fragment', (path) => `${path}#`],
  ['a fragment with a path', (path) => `${path}#/v1/status`],
  ['a query', (path) => `${path}?`],
  ['a query with a path', (path) => `${path}?/v1/status`],
  ['an escaped query', (path) => `${path}%3Fa=b`],
  ['a parameter', (path) => `${path};a=b`],
  ['a parameter inside', (path) => path.replace('/v1/', '/v1;a=b/')],
  ['a slash at the end', (path) => `${path}/`],
  ['an escaped slash at the end', (path) => `${path}%2F`],
  ['two slashes', (path) => path.replace('/v1/', '/v1//')],
  ['two slashes in front', (path) => `/${path}`],
  ['escaped slashes', (path) => `/${path.slice(1).replaceAll('/', '%2F')}`],
  ['a dot at the end', (path) => `${path}.`],
  ['a dot segment', (path) => path.replace('/v1/', '/v1/./')],
  ['a dot segment at the end', (path) => `${path}/.`],
  ['an escaped dot segment', (path) => path.replace('/v1/', '/v1/%2e/')],
  ['a way up', (path) => path.replace(/[^/]*$/, 'app-one/../$&')],
  ['an escaped way up', (path) => path.replace(/[^/]*$/, 'app-one/%2e%2E/$&')],
  ['a wholly escaped way up', (path) => path.replace(/[^/]*$/, 'app-one%2f..%2f$&')],
  ['a way up with backslashes', (path) => path.replace(/[^/]*$/, 'app-one\\..\\$&')],
  ['a way up to the root', (path) => `/v1/status/../..${path}`],
  ['an escaped letter', (path) => path.replace(/[a-z](?=[^/]*$)/, escapeOf)],
  ['every letter escaped', (path) => path.replace(/[a-z]/g, escapeOf)],
  [
    'a letter escaped twice',
    (path) => path.replace(/[a-z](?=[^/]*$)/, (letter) => escapeOf(letter).replace('%', '%25')),
  ],
  ['an overlong escape', (path) => path.replace('/v1/', '/v1%C0%AF')],
  ['a full-width slash', (path) => path.replace('/v1/', '/v1%EF%BC%8F')],
  ['a NUL at the end', (path) => `${path}%00`],
  ['a NUL and a suffix', (path) => `${path}%00.txt`],
  ['a space at the end', (path) => `${path}%20`],
  ['a tab at the end', (path) => `${path}%09`],
  ['a line end', (path) => `${path}%0d%0a`],
  ['upper case', (path) => path.toUpperCase()],
  ['a scheme and host', (path) => `https://kes${path}`],
  ['a scheme, user and host', (path) => `https://admin@kes:7373${path}`],
  ['a scheme without host', (path) => `https://${path}`],
  ['another scheme', (path) => `file://${path}`],
  ['a scheme and two slashes', (path) => `https://kes/${path}`],
  ['an allowed path as host', (path) => `https://kes/v1/status#${path}`],
  ['a malformed escape', (path) => `${path}%`],
  ['a star at the end', (path) => `${path}*`],
]

function escapeOf(letter: string): string {
  return `%${letter.charCodeAt(0).toString(16)}`
}

/** What a caller gets for a target that no client library would send. Undefined: no reply at all. */
async function statusOver(
  version: 'h2' | 'http/1.1',
  method: string,
  target: string,
): Promise<number | undefined> {
  const connection = await RawConnection.open(server, version, mallory)
  try {
    if (version === 'http/1.1') {
      await connection.write(
        `${method} ${target} HTTP/1.1\r\nHost: kes\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      )
      await connection.until(() => connection.statuses.length > 0)
      return connection.statuses[0]
    }
    await connection.write(request(1, requestFields(method, target)))
    await connection.until(() =>
      connection.frames.some(({ stream, type }) => stream === 1 || type === FrameType.goAway),
    )
    const headers = connection.frames.find(({ type }) => type === FrameType.headers)
    return headers && statusOf(headers.payload)
  } finally {
    connection.close()
  }
}

async function stateOf(name: string): Promise<{ state: string; revision: number }> {
  const { rawBody } = await server.request('GET', `/v1/key/describe/${name}`)
  const { state, revision } = JSON.parse(rawBody.toString())
  return { state, revision }
}

async function names(): Promise<string[]> {
  const { rawBody } = await server.request('GET', '/v1/key/list/')
  return JSON.parse(rawBody.toString()).names
}

describe.each(PROTOCOLS)('over %s', (version) => {
  test.each(DISGUISES)('a forbidden path, disguised by %s, gives nothing', async (_, disguise) => {
    const before = [await names(), await stateOf('app-secret'), await stateOf('app-one')]
    for (const [method, path] of FORBIDDEN) {
      const status = await statusOver(version, method, disguise(path))
      // A redirect only says where to ask.
      expect([undefined, 307, 400, 403, 404, 405], `${method} ${disguise(path)}`).toContain(status)
    }
    expect([await names(), await stateOf('app-secret'), await stateOf('app-one')]).toEqual(before)
  })

  test('a redirect leads nowhere that would not have been refused', async () => {
    for (const [method, path] of FORBIDDEN) {
      const { status, headers } = await server.request(method, `/v1/.${path.slice(3)}`, {
        protocol: version,
        as: mallory,
      })
      expect([status, headers.location]).toEqual([307, path])
      expect((await server.request(method, path, { protocol: version, as: mallory })).status).toBe(403)
    }
  })

  test.each([
    'x-http-method-override',
    'x-method-override',
    'x-original-url',
    'x-rewrite-url',
    'x-forwarded-client-cert',
    'x-ssl-client-cert',
    'x-forwarded-for',
    'x-forwarded-proto',
    'forwarded',
    'authorization',
    'kes-enclave',
    'x-minio-enclave',
  ])('the header %s changes nothing', async (name) => {
    const adminCertificate = encodeURIComponent(installation.admin.cert)
    for (const value of ['PUT', 'GET', '/v1/status', installation.admin.identity, adminCertificate]) {
      for (const [method, path] of FORBIDDEN) {
        const options = { protocol: version, as: mallory, headers: { [name]: value } }
        expect((await server.request(method, path, options)).status).toBe(403)
      }
    }
  })

  test.each(['GET', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'])(
    '%s changes nothing',
    async (method) => {
      for (const path of ['/v1/key/create/made', '/v1/key/disable/app-one', '/v1/key/delete/app-one']) {
        const headers = { 'x-http-method-override': path.includes('delete') ? 'DELETE' : 'PUT' }
        const reply = await server.request(method, path, {
          protocol: version,
          as: installation.admin,
          headers,
        })
        expect([reply.status, reply.headers.allow !== undefined]).toEqual([405, true])
      }
      expect(await names()).not.toContain('made')
      expect((await stateOf('app-one')).state).toBe('enabled')
    },
  )

  test('a body, a query or a header names no creator but the caller', async () => {
    const name = `created-${version.replaceAll(/\W/g, '')}`
    const path = `/v1/key/create/${name}?created_by=${installation.admin.identity}`
    const body = { created_by: 'admin', identity: 'admin' }
    const headers = { 'kes-identity': installation.admin.identity }
    expect(
      (await server.request('PUT', path, { protocol: version, as: mallory, body, headers })).status,
    ).toBe(200)
    const { rawBody } = await server.request('GET', `/v1/key/describe/${name}`)
    expect(JSON.parse(rawBody.toString())).toMatchObject({
      created_by: mallory.identity,
      changed_by: mallory.identity,
    })
    expect((await server.request('DELETE', `/v1/key/delete/${name}`)).status).toBe(200)
    // Only the admin may take the name of an erased key.
    const reuse = { protocol: version, as: mallory }
    expect((await server.request('PUT', `/v1/key/create/${name}?reuse=true`, reuse)).status).toBe(403)
    expect((await server.request('PUT', `/v1/key/create/${name}`, reuse)).status).toBe(400)
    expect(await names()).not.toContain(name)
  })

  test('names of JavaScript are names like others', async () => {
    const as = mallory
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype']) {
      const isKey = ['__proto__', 'constructor'].includes(name)
      const ask = async (method: string, path: string) =>
        (await server.request(method, path, { protocol: version, as })).status
      expect(await ask('PUT', `/v1/key/generate/${name}`)).toBe(isKey ? 200 : 404)
      expect(await ask('GET', `/v1/key/describe/${name}`)).toBe(isKey ? 200 : 404)
      for (const api of ['policy/describe', 'policy/read', 'identity/describe']) {
        expect(await ask('GET', `/v1/${api}/${name}`)).toBe(404)
      }
    }
  })

  test('fields of JavaScript in a body set nothing', async () => {
    const generate = async (body: string) => {
      const reply = await server.request('PUT', '/v1/key/generate/app-one', {
        protocol: version,
        as: mallory,
        body,
      })
      expect(reply.status).toBe(200)
      return JSON.parse(reply.rawBody.toString())
    }
    for (const body of [
      '{"__proto__":{"context":"AAAA"}}',
      '{"constructor":{"prototype":{"context":"AAAA"}}}',
      '{"__proto__":null,"toString":1,"hasOwnProperty":[]}',
    ]) {
      const { plaintext, ciphertext } = await generate(body)
      const decrypt = { protocol: version, as: mallory, body: { ciphertext } }
      const reply = await server.request('PUT', '/v1/key/decrypt/app-one', decrypt)
      expect(JSON.parse(reply.rawBody.toString())).toEqual({ plaintext })
    }
  })
})

describe('patterns', () => {
  beforeEach(async () => {
    expect((await server.request('PUT', '/v1/key/enable/*')).status).toBe(200)
  })

  const change = (path: string) => server.request('PUT', `/v1/key/${path}`, { as: mallory })

  test.each(['app-*', 'app-s*', 'app-secret*', 'a*', '*', 'o*', 'other*'])(
    'disable/%s is refused as a whole, because one of its keys may not be changed',
    async (pattern) => {
      for (const verb of ['disable', 'enable']) {
        for (const argument of [pattern, pattern.replace('*', '%2a'), pattern.replace('*', '%2A')]) {
          const { status, rawBody } = await change(`${verb}/${argument}`)
          expect([status, JSON.parse(rawBody.toString()).code]).toEqual([403, 'NotAllowed'])
        }
      }
      for (const name of ['app-one', 'app-secret', 'other'])
        expect((await stateOf(name)).state).toBe('enabled')
    },
  )

  test.each(['**', '*a', 'app*one', 'app-?*', 'app-[s]*', 'app-one,other*', '.*'])(
    'disable/%s is no pattern',
    async (pattern) => {
      expect((await change(`disable/${encodeURIComponent(pattern)}`)).status).toBe(400)
    },
  )

  test('a pattern of keys that may all be changed changes those', async () => {
    const { status, rawBody } = await change('disable/app-o*')
    expect([status, JSON.parse(rawBody.toString())]).toEqual([200, { matched: 1, changed: 1 }])
    expect((await stateOf('app-one')).state).toBe('disabled')
  })

  test('a continued listing needs the right to its first page', async () => {
    for (const argument of [
      '*app-one',
      '*',
      'app-secret*',
      'app-secret*a',
      'app-secret*app-secret',
      'app-secret%2Ab',
    ]) {
      const { status } = await server.request('GET', `/v1/key/list/${argument}`, { as: mallory })
      // A star alone asks the policy for "*", which this one allows, as KES does.
      expect(status, argument).toBe(argument === '*' ? 200 : 403)
    }
    expect((await server.request('GET', '/v1/key/list/app-o*app', { as: mallory })).status).toBe(200)
  })
})

describe('a malformed HTTP/2 request', () => {
  const fields = requestFields('GET', '/v1/metrics')
  const without = (name: string) => fields.filter(([each]) => each !== name)

  test.each<[name: string, block: readonly (readonly [string, string])[]]>([
    ['with two paths, the first allowed', [...requestFields('GET', '/v1/status'), [':path', '/v1/metrics']]],
    ['with two paths, the second allowed', [...fields, [':path', '/v1/status']]],
    ['with two methods', [...fields, [':method', 'PUT']]],
    ['without path', without(':path')],
    ['without method', without(':method')],
    ['with an empty path', [...without(':path'), [':path', '']]],
    ['with a path that is none', [...without(':path'), [':path', 'v1/metrics']]],
    ['with a line end in its path', [...without(':path'), [':path', '/v1/metrics\r\nX: y']]],
    ['with a pseudo-header behind the others', [['x', 'y'], ...fields]],
    ['with an unknown pseudo-header', [...fields, [':identity', 'admin']]],
    ['with an upper-case name', [...fields, ['X-Y', 'a']]],
    ['with Connection', [...fields, ['connection', 'upgrade']]],
    ['with Upgrade', [...fields, ['upgrade', 'h2c']]],
    ['with Transfer-Encoding', [...fields, ['transfer-encoding', 'chunked']]],
    ['with two lengths', [...fields, ['content-length', '0'], ['content-length', '1']]],
    ['that lies about its length', [...fields, ['content-length', '5']]],
    ['to be a tunnel', [[':method', 'CONNECT'], [':protocol', 'websocket'], ...fields.slice(1)]],
  ])('%s is reset', async (_, block) => {
    const connection = await RawConnection.open(server, 'h2', installation.admin)
    await connection.write(request(1, block))
    await connection.until(() => connection.frames.some(({ type }) => type === FrameType.rstStream))
    expect(connection.frames.filter(({ type }) => type === FrameType.headers)).toEqual([])
    connection.close()
  })

  test('to connect elsewhere, or of an unknown method, is refused', async () => {
    for (const [method, status] of [
      ['CONNECT', 404],
      ['METRICS', 400],
      ['get', 400],
      ['__proto__', 400],
    ] as const) {
      const block =
        method === 'CONNECT'
          ? ([
              [':method', method],
              [':authority', 'kes:1'],
            ] as const)
          : requestFields(method, '/version')
      const connection = await RawConnection.open(server, 'h2', mallory)
      await connection.write(request(1, block))
      await connection.until(() => connection.frames.some(({ type }) => type === FrameType.headers))
      const headers = connection.frames.find(({ type }) => type === FrameType.headers)
      expect(headers && statusOf(headers.payload)).toBe(status)
      connection.close()
    }
  })

  test('an upgrade of HTTP/1.1 changes nothing', async () => {
    const connection = await RawConnection.open(server, 'http/1.1', mallory)
    const upgrade =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n'
    for (const path of ['/version', '/v1/metrics'])
      await connection.write(`GET ${path} HTTP/1.1\r\nHost: kes\r\n${upgrade}\r\n`)
    await connection.until(() => connection.statuses.length === 2)
    expect(connection.statuses).toEqual([200, 403])
    connection.close()
  })
})
