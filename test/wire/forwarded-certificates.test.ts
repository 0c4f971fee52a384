/** `tls.proxy`: whom a server takes for the caller of a request that comes through a TLS proxy, and that others can't pose as one. */
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  authorityOf,
  type Credentials,
  clientOf,
  credentialsOf,
  issueCertificate,
  keyPairOf,
  makeVersion1Certificate,
  validityOf,
} from '../sandbox/certificates.ts'
import { PROTOCOLS, type Reply, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectError, textOf } from './replies.ts'

const HEADER = 'X-Client-Cert'
const REQUIRED = 'tls: client certificate is required'
const TOO_MANY = 'tls: received more than one client certificate'
const GENERATE = '/v1/key/generate/my-key'

/** Takes any certificate, as `tls.auth: off` does. */
let open: TestServer
let verifying: TestServer
let proxy: Credentials
let app: Credentials
let other: Credentials

/** As nginx escapes it: all but letters, digits and `-_.~`. */
function escaped(pem: string): string {
  return encodeURIComponent(pem).replace(/[!'()*]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  })
}

const structured = (pem: string) => `:${new X509Certificate(pem).raw.toString('base64')}:`

beforeAll(async () => {
  const ca = await authorityOf('client CA')
  const keys = keyPairOf('proxy', 'p256')
  proxy = credentialsOf(keys, await issueCertificate('proxy', { keys, issuer: ca }))
  app = credentialsOf(
    keyPairOf('app', 'p256'),
    await issueCertificate('app', { keys: keyPairOf('app', 'p256'), issuer: ca }),
  )
  other = await clientOf('other')
  const options = {
    keys: ['my-key'],
    policies: {
      app: { allow: ['/v1/key/generate/*', '/v1/key/create/*'], identities: [app.identity] },
      other: { allow: ['/v1/status', '/v1/key/describe/*'], identities: [other.identity] },
    },
    proxies: { identities: [proxy.identity.toUpperCase()], header: HEADER },
  }
  open = await startTestServer(options)
  verifying = await startTestServer({ ...options, clientCas: [ca.certificate.toString()] })
})

afterAll(async () => {
  await open.stop()
  await verifying.stop()
})

describe.each(PROTOCOLS)('over %s', (protocol) => {
  /** A request through the proxy; null: without the header. */
  function through(
    server: TestServer,
    certificate: string | string[] | null,
    path = GENERATE,
    method = 'PUT',
  ): Promise<Reply> {
    const headers = certificate === null ? {} : { [HEADER]: certificate }
    return server.request(method, path, { as: proxy, headers, protocol })
  }

  test.each([
    ['as nginx escapes it', () => escaped(app.cert)],
    ['escaped where it must be', () => app.cert.replaceAll('\n', '%0A').replaceAll('+', '%2B')],
    ['with spaces for line breaks', () => app.cert.trim().replaceAll('\n', ' ')],
    ['as RFC 9440 has it', () => structured(app.cert)],
  ])('the caller is the owner of the certificate that a proxy forwards, %s', async (_, write) => {
    for (const server of [open, verifying]) {
      expect((await through(server, write())).status).toBe(200)
      expectError(
        await through(server, write(), '/v1/status', 'GET'),
        403,
        'not authorized: insufficient permissions',
        'NotAllowed',
      )
      const self = await through(server, write(), '/v1/identity/self/describe', 'GET')
      expect(JSON.parse(textOf(self))).toMatchObject({ identity: app.identity, policy: 'app' })
    }
  })

  test('callers take turns on one connection', async () => {
    for (let round = 0; round < 3; round += 1) {
      expect((await through(open, escaped(app.cert))).status).toBe(200)
      expect((await through(open, escaped(other.cert))).status).toBe(403)
      expect((await through(open, escaped(other.cert), '/v1/status', 'GET')).status).toBe(200)
      expect((await through(open, null)).status).toBe(400)
    }
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        through(open, escaped(index % 2 === 0 ? app.cert : other.cert)),
      ),
    )
    expect(replies.map(({ status }) => status)).toEqual(Array(10).fill([200, 403]).flat())
  })

  test('more callers than are remembered are all told apart', async () => {
    const seen = new Set<string>()
    for (let index = 0; index < 300; index += 1) {
      const keys = keyPairOf(`one of many ${index}`)
      const pem = (await issueCertificate('one of many', { keys })).toString()
      expect((await through(open, structured(pem))).status).toBe(403)
      seen.add(open.auditLog().at(-1)?.req?.identity ?? '')
    }
    expect(seen.size).toBe(300)
    expect((await through(open, structured(app.cert))).status).toBe(200)
  })

  test('whoever is no proxy is who their own certificate says, whatever the header says', async () => {
    for (const certificate of [app.cert, open.admin.cert, proxy.cert]) {
      const headers = { [HEADER]: escaped(certificate) }
      const refused = await open.request('PUT', GENERATE, { as: other, headers, protocol })
      expect(refused.status).toBe(403)
      const self = await open.request('GET', '/v1/identity/self/describe', { as: other, headers, protocol })
      expect(JSON.parse(textOf(self)).identity).toBe(other.identity)
    }
    expect(open.auditLog().at(-1)?.req).toEqual({
      method: 'GET',
      path: '/v1/identity/self/describe',
      ip: '127.0.0.1',
      identity: other.identity,
    })
  })

  test('a key that is made through a proxy is the caller’s', async () => {
    const name = `made-${protocol.replace(/\W/g, '')}`
    expect((await through(open, escaped(app.cert), `/v1/key/create/${name}`)).status).toBe(200)
    const info = await open.request('GET', `/v1/key/describe/${name}`, { protocol })
    expect(JSON.parse(textOf(info)).created_by).toBe(app.identity)
  })

  test('the logs name the caller and the proxy', async () => {
    await through(open, escaped(app.cert))
    const request = { method: 'PUT', path: GENERATE, ip: '127.0.0.1', proxy: proxy.identity }
    expect(open.auditLog().at(-1)?.req).toEqual({ ...request, identity: app.identity })
    await through(open, escaped(other.cert))
    expect(open.auditLog().at(-1)?.req).toEqual({ ...request, identity: other.identity })
    expect(open.errorLog().at(-1)?.req).toEqual({ ...request, identity: other.identity })
    await through(open, null)
    expect(open.auditLog().at(-1)?.req).toEqual({ ...request, identity: '<unknown>' })
    expect(open.errorLog().at(-1)?.msg).toBe(
      `${REQUIRED}: certificate in 'x-client-cert' of a TLS proxy: there is none`,
    )
  })

  test.each([
    ['none', () => null],
    ['an empty one', () => ''],
    ['a malformed escape', () => '%zz'],
    ['no certificate', () => 'kes'],
    ['an identity', () => app.identity],
    ['PEM without its end', () => escaped(app.cert).slice(0, -20)],
    ['PEM of something else', () => escaped(app.cert.replaceAll('CERTIFICATE', 'PUBLIC KEY'))],
    ['a private key', () => escaped(app.key)],
    ['Base64 that is cut', () => escaped(app.cert.replace(/.\n-----END/, '\n-----END'))],
    ['DER that is cut', () => `:${new X509Certificate(app.cert).raw.subarray(0, -3).toString('base64')}:`],
    [
      'bytes behind the DER',
      () => `:${Buffer.concat([new X509Certificate(app.cert).raw, Buffer.of(0, 0, 0)]).toString('base64')}:`,
    ],
    ['Base64 without colons', () => structured(app.cert).slice(1, -1)],
    ['two colons', () => '::'],
    ['more than 8 KiB', () => `${escaped(app.cert)}${'%0A'.repeat(3_000)}`],
  ])('a proxy that forwards %s gets nothing', async (_, write) => {
    for (const server of [open, verifying])
      expectError(await through(server, write()), 400, REQUIRED, 'CertificateRequired')
  })

  test.each([
    ['in one header', () => escaped(app.cert + other.cert)],
    ['the same twice', () => escaped(app.cert + app.cert)],
    ['in two headers', () => [escaped(app.cert), escaped(other.cert)]],
    ['as a list', () => `${structured(app.cert)}, ${structured(app.cert)}`],
  ])('several certificates, %s, are refused', async (_, write) => {
    expectError(await through(open, write()), 400, TOO_MANY, 'TooManyCertificates')
  })

  test('what a proxy is refused is refused before the policy, and opens no API', async () => {
    for (const [method, path] of [
      ['GET', '/v1/status'],
      ['PUT', '/v1/key/create/anything'],
      ['DELETE', '/v1/key/delete/my-key'],
    ] as const)
      expectError(await through(open, null, path, method), 400, REQUIRED, 'CertificateRequired')
    expect((await through(open, null, '/version', 'GET')).status).toBe(200)
  })

  test('a certificate of a CA makes no caller', async () => {
    const keys = keyPairOf('app', 'p256')
    const certificate = await issueCertificate('app', { keys, isCa: true })
    expectError(await through(open, escaped(certificate.toString())), 400, REQUIRED, 'CertificateRequired')
  })

  test('a certificate that is not verified may be expired, of any CA, and of version 1', async () => {
    const keys = keyPairOf('app', 'p256')
    const expired = await issueCertificate('app', { keys, validity: validityOf(-1) })
    const stranger = await issueCertificate('app', { keys, issuer: await authorityOf('unknown CA') })
    for (const certificate of [expired, stranger])
      expect((await through(open, escaped(certificate.toString()))).status).toBe(200)
    const first = makeVersion1Certificate(keyPairOf('other')).toString()
    expect((await through(open, escaped(first), '/v1/status', 'GET')).status).toBe(200)
  })

  test.each([
    ['expired', { validity: validityOf(-1) }],
    ['not valid yet', { validity: { ...validityOf(3), notBefore: new Date(Date.now() + 86_400_000) } }],
    ['for servers only', { extendedKeyUsage: ['serverAuth' as const] }],
  ])('where certificates are verified, one that is %s is refused', async (_, options) => {
    const keys = keyPairOf('app', 'p256')
    const issuer = await authorityOf('client CA')
    const certificate = await issueCertificate('app', { keys, issuer, ...options })
    expectError(
      await through(verifying, escaped(certificate.toString())),
      400,
      REQUIRED,
      'CertificateRequired',
    )
    expect(verifying.errorLog().at(-1)?.msg).toMatch(/: tls: failed to verify certificate$/)
  })

  test('where certificates are verified, one of no CA of theirs is refused', async () => {
    const keys = keyPairOf('app', 'p256')
    const namesake = keyPairOf('false CA', 'p256')
    const falseCa = await issueCertificate('client CA', { keys: namesake, isCa: true })
    const untrue = { ...namesake, certificate: falseCa }
    for (const issuer of [await authorityOf('unknown CA'), untrue, undefined]) {
      const certificate = await issueCertificate('app', { keys, ...(issuer && { issuer }) })
      expectError(
        await through(verifying, escaped(certificate.toString())),
        400,
        REQUIRED,
        'CertificateRequired',
      )
    }
  })
})

test.each([
  ['a header', () => ({ identities: [proxy.identity] })],
  ['identities', () => ({ identities: [], header: HEADER })],
])('without %s in the config a proxy is a client like any other', async (_, write) => {
  await using server = await startTestServer({
    proxies: write(),
    policies: { app: { allow: ['/v1/status'], identities: [app.identity] } },
  })
  const headers = { [HEADER]: escaped(app.cert) }
  expect((await server.request('GET', '/v1/status', { as: proxy, headers })).status).toBe(403)
})

test('an API with skip_auth answers a proxy without a header', async () => {
  await using server = await startTestServer({
    proxies: { identities: [proxy.identity], header: HEADER },
    api: { '/v1/ready': { skipAuth: true } },
  })
  expect((await server.request('GET', '/v1/ready', { as: proxy })).status).toBe(200)
  expect((await server.request('GET', '/v1/status', { as: proxy })).status).toBe(400)
})
