/** Which client certificates a server lets in, in each of its four modes, and whom it takes the client for. */
import type { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  authorityOf,
  type Credentials,
  clientOf,
  credentialsOf,
  issueCertificate,
  type KeyType,
  keyPairOf,
  makeVersion1Certificate,
  validityOf,
} from '../sandbox/certificates.ts'
import { PROTOCOLS, type Reply, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectError, textOf } from './replies.ts'

const REQUIRED = 'tls: client certificate is required'
const TOO_MANY = 'tls: received more than one client certificate'

/** A server of each mode: certificates required or optional, verified or not. */
const servers: Record<string, TestServer> = {}

/** Clients by what is special about them. All keys are in the servers' one policy, which allows all. */
const clients: Record<string, Credentials> = {}

beforeAll(async () => {
  const ca = await authorityOf('client CA')
  const stranger = await authorityOf('unknown CA')
  const keys = keyPairOf('leaf', 'p256')
  const other = keyPairOf('other leaf', 'p256')
  const issued = await issueCertificate('leaf', { keys, issuer: ca })
  const otherIssued = await issueCertificate('other leaf', { keys: other, issuer: ca })
  const selfSigned = await issueCertificate('leaf', { keys })
  const leaf = (...certificates: X509Certificate[]) => credentialsOf(keys, ...certificates)
  const of = (options: Parameters<typeof issueCertificate>[1]) =>
    issueCertificate('leaf', { keys, ...options })

  clients.issued = leaf(issued)
  clients['issued, with its CA'] = leaf(issued, ca.certificate)
  clients['issued, with a CA it is not from'] = leaf(issued, stranger.certificate)
  clients['issued, for any use'] = leaf(await of({ issuer: ca, extendedKeyUsage: [] }))
  clients.renewed = leaf(await of({ issuer: ca, commonName: 'renewed' }))
  clients.expired = leaf(await of({ issuer: ca, validity: validityOf(-1) }))
  clients['not valid yet'] = leaf(
    await of({ issuer: ca, validity: { ...validityOf(3), notBefore: new Date(Date.now() + 86_400_000) } }),
  )
  clients['for servers only'] = leaf(await of({ issuer: ca, extendedKeyUsage: ['serverAuth'] }))
  clients['expired, for servers only'] = leaf(
    await of({ validity: validityOf(-1), extendedKeyUsage: ['serverAuth'] }),
  )
  clients['of an unknown CA'] = leaf(await of({ issuer: stranger }))
  clients['self-signed'] = leaf(selfSigned)
  clients['a CA, self-signed'] = leaf(await of({ isCa: true }))
  clients['a CA, issued'] = leaf(await of({ isCa: true, issuer: ca }))
  clients['a CA, before the leaf of another'] = credentialsOf(ca, ca.certificate, otherIssued)
  clients['two leaves'] = leaf(issued, otherIssued)
  clients['two leaves, self-signed'] = leaf(selfSigned, await issueCertificate('second'))
  clients['a CA between two leaves'] = leaf(issued, ca.certificate, otherIssued)
  clients['of version 1'] = credentialsOf(keyPairOf('v1'), makeVersion1Certificate(keyPairOf('v1')))

  const policies = {
    everyone: {
      allow: ['/v1/*'],
      identities: [
        ...new Set([...Object.values(clients).map(({ identity }) => identity), identityOfOther()]),
      ],
    },
  }
  const clientCas = [ca.certificate.toString()]
  const api = { '/v1/ready': { skipAuth: true } }
  servers.required = await startTestServer({ policies })
  servers.optional = await startTestServer({ policies, api })
  servers['required, verified'] = await startTestServer({ policies, clientCas })
  servers['optional, verified'] = await startTestServer({ policies, clientCas, api })

  function identityOfOther(): string {
    return credentialsOf(other, otherIssued).identity
  }
})

afterAll(async () => {
  for (const server of Object.values(servers)) await server.stop()
})

function serverOf(mode: string): TestServer {
  const server = servers[mode]
  if (server === undefined) throw new Error(`no server of mode ${mode}`)
  return server
}

function clientNamed(name: string): Credentials | null {
  if (name === 'none') return null
  const client = clients[name]
  if (client === undefined) throw new Error(`no client ${name}`)
  return client
}

/** The identity that the server saw, its refusal, or `closed` if there was no reply. */
async function seenAs(mode: string, name: string, protocol: (typeof PROTOCOLS)[number]): Promise<string> {
  const as = clientNamed(name)
  let reply: Reply
  try {
    reply = await serverOf(mode).request('GET', '/v1/identity/self/describe', { as, protocol })
  } catch {
    return 'closed'
  }
  const status = await serverOf(mode).request('GET', '/v1/status', { as, protocol })
  if (status.status !== 200) return textOf(status)
  const { identity } = JSON.parse(textOf(reply))
  return identity === as?.identity ? 'its identity' : `a wrong identity: ${identity}`
}

const refused = (message: string, code: string) => `{"message":"${message}","code":"${code}"\n}`
const NEEDED = refused(REQUIRED, 'CertificateRequired')
const SURPLUS = refused(TOO_MANY, 'TooManyCertificates')

describe.each(PROTOCOLS)('over %s', (protocol) => {
  describe.each([
    ['none', 'closed', NEEDED, 'closed', NEEDED],
    ['issued', 'its identity', 'its identity', 'its identity', 'its identity'],
    ['issued, with its CA', 'its identity', 'its identity', 'its identity', 'its identity'],
    ['issued, with a CA it is not from', 'its identity', 'its identity', 'its identity', 'its identity'],
    ['issued, for any use', 'its identity', 'its identity', 'its identity', 'its identity'],
    ['renewed', 'its identity', 'its identity', 'its identity', 'its identity'],
    ['expired', 'its identity', 'its identity', 'closed', 'closed'],
    ['not valid yet', 'its identity', 'its identity', 'closed', 'closed'],
    ['for servers only', 'its identity', 'its identity', 'closed', 'closed'],
    ['expired, for servers only', 'its identity', 'its identity', 'closed', 'closed'],
    ['of an unknown CA', 'its identity', 'its identity', 'closed', 'closed'],
    ['self-signed', 'its identity', 'its identity', 'closed', 'closed'],
    ['of version 1', 'its identity', 'its identity', 'closed', 'closed'],
    ['a CA, self-signed', NEEDED, NEEDED, 'closed', 'closed'],
    // OpenSSL refuses it in the handshake already: its key is for signing certificates only.
    ['a CA, issued', NEEDED, NEEDED, 'closed', 'closed'],
    // KES would take this client for the other, whose private key it need not have. Latchkey does not.
    ['a CA, before the leaf of another', NEEDED, NEEDED, 'closed', 'closed'],
    ['two leaves', SURPLUS, SURPLUS, SURPLUS, SURPLUS],
    ['two leaves, self-signed', SURPLUS, SURPLUS, 'closed', 'closed'],
    ['a CA between two leaves', SURPLUS, SURPLUS, SURPLUS, SURPLUS],
  ])('a client with the certificate: %s', (name, required, optional, verified, optionalVerified) => {
    test.each([
      ['required', required],
      ['optional', optional],
      ['required, verified', verified],
      ['optional, verified', optionalVerified],
    ])('is seen right where it is %s', async (mode, expected) => {
      expect(await seenAs(mode, name, protocol)).toBe(expected)
    })
  })

  test('an API with skip_auth answers a client without certificate, and the others do not', async () => {
    const server = serverOf('optional')
    expect((await server.request('GET', '/v1/ready', { as: null, protocol })).status).toBe(200)
    expect((await server.request('GET', '/version', { as: null, protocol })).status).toBe(200)
    const refusal = await server.request('GET', '/v1/api', { as: null, protocol })
    expectError(refusal, 400, REQUIRED, 'CertificateRequired')
  })

  test('self/describe is never refused, only not found, for who has no identity', async () => {
    const server = serverOf('optional')
    for (const name of ['none', 'a CA, self-signed', 'two leaves']) {
      const reply = await server.request('GET', '/v1/identity/self/describe', {
        as: clientNamed(name),
        protocol,
      })
      expectError(reply, 404, 'identity does not exist', 'IdentityNotFound')
    }
  })

  test('with skip_auth the identity of a certificate is recorded all the same', async () => {
    const client = await clientOf('recorded')
    await using server = await startTestServer({ api: { '/v1/key/create/': { skipAuth: true } } })
    const describe = async (name: string) =>
      JSON.parse(textOf(await server.request('GET', `/v1/key/describe/${name}`, { protocol })))
    expect((await server.request('PUT', '/v1/key/create/known', { as: client, protocol })).status).toBe(200)
    expect((await server.request('PUT', '/v1/key/create/unknown', { as: null, protocol })).status).toBe(200)
    expect(await describe('known')).toMatchObject({ created_by: client.identity })
    expect(await describe('unknown')).not.toHaveProperty('created_by')
    const [known, unknown] = server.auditLog()
    expect([known?.req?.identity, unknown?.req?.identity]).toEqual([client.identity, '<unknown>'])
  })
})

test.each(['ed25519', 'p256', 'p384', 'p521', 'rsa2048', 'rsa3072'] as const)(
  'the identity of a key of type %s is the SHA-256 of its public key, in TLS 1.2 and 1.3',
  async (type: KeyType) => {
    const keys = keyPairOf('typed', type)
    const issuer = await authorityOf('client CA')
    const client = credentialsOf(keys, await issueCertificate('typed', { keys, issuer }))
    const server = serverOf('required')
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await server.connect({ as: client, minVersion: version, maxVersion: version })
      socket.write('GET /v1/status HTTP/1.1\r\nHost: kes\r\nConnection: close\r\n\r\n')
      await new Promise((resolve) => socket.resume().on('close', resolve))
      expect(server.auditLog().at(-1)?.req?.identity).toBe(client.identity)
    }
  },
)

test('RSA keys sign handshakes with PKCS #1 and with PSS', async () => {
  const keys = keyPairOf('typed', 'rsa2048')
  const issuer = await authorityOf('client CA')
  const client = credentialsOf(keys, await issueCertificate('typed', { keys, issuer }))
  for (const sigalgs of [
    'ecdsa_secp256r1_sha256:rsa_pkcs1_sha256',
    'ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256',
  ]) {
    const socket = await serverOf('required').connect({ as: client, sigalgs, maxVersion: 'TLSv1.2' })
    socket.destroy()
  }
})

test('a client without the certificate that is required is told to the operator in words of KES', async () => {
  await using server = await startTestServer()
  await expect(server.request('GET', '/version', { as: null, protocol: 'http/1.1' })).rejects.toThrow()
  const told = () => server.errorLog().map(({ level, msg }) => `${level} ${msg}`)
  await expect
    .poll(told)
    .toEqual([
      expect.stringMatching(
        /^INFO http: TLS handshake error from 127\.0\.0\.1:\d+: tls: client didn't provide a certificate$/,
      ),
    ])
})

test('a certificate that does not verify is told to the operator', async () => {
  const server = serverOf('required, verified')
  const known = server.errorLog().length
  const as = clientNamed('of an unknown CA')
  await expect(server.request('GET', '/version', { as, protocol: 'http/1.1' })).rejects.toThrow()
  await expect
    .poll(() =>
      server
        .errorLog()
        .slice(known)
        .map(({ msg }) => msg),
    )
    .toEqual([
      expect.stringMatching(
        /^http: TLS handshake error from 127\.0\.0\.1:\d+: tls: failed to verify certificate: /,
      ),
    ])
})

test.each(PROTOCOLS)(
  'over %s who was given is trusted: a CA below another one, or the certificate itself',
  async (protocol) => {
    const root = await authorityOf('root CA')
    const middleKeys = keyPairOf('middle CA', 'p256')
    const middle = {
      ...middleKeys,
      certificate: await issueCertificate('middle CA', { keys: middleKeys, issuer: root, isCa: true }),
    }
    const keys = keyPairOf('leaf', 'p256')
    const ofMiddle = await issueCertificate('leaf', { keys, issuer: middle })
    const ofRoot = await issueCertificate('leaf', { keys, issuer: root })
    const statusesAt = async (given: X509Certificate) => {
      await using server = await startTestServer({ clientCas: [given.toString()] })
      const statusOf = (...chain: X509Certificate[]) =>
        server
          .request('GET', '/version', { as: credentialsOf(keys, ...chain), protocol })
          .then(({ status }) => status)
          .catch(() => 'closed')
      return [await statusOf(ofMiddle), await statusOf(ofMiddle, middle.certificate), await statusOf(ofRoot)]
    }
    expect(await statusesAt(middle.certificate)).toEqual([200, 200, 'closed'])
    expect(await statusesAt(root.certificate)).toEqual(['closed', 200, 200])
    expect(await statusesAt(ofRoot)).toEqual(['closed', 'closed', 200])
  },
)
