/** curl and openssl against the server: certificates as operators make them, both versions of HTTP, and TLS. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identityOfCertificate } from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { isPresent, peerTest, run } from './peer.ts'

/** The arguments of `openssl req` that make a key, by the name of the client. */
const CLIENTS = {
  'P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  RSA: ['-newkey', 'rsa:2048'],
  Ed25519: ['-newkey', 'ed25519'],
} as const
type Client = keyof typeof CLIENTS
const CLIENT_NAMES = Object.keys(CLIENTS) as Client[]

/** What operators write to get a certificate that is not a CA's. */
const OPENSSL_CONFIG = `
[req]
distinguished_name = name
x509_extensions = client
[name]
[client]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
`

const HTTP_OPTIONS = ['--http1.1', '--http2'] as const
const HTTP_VERSIONS = { '--http1.1': '1.1', '--http2': '2' } as const

const NOT_ALLOWED = '{"message":"not authorized: insufficient permissions","code":"NotAllowed"\n}'
const CERTIFICATE_REQUIRED =
  '{"message":"tls: client certificate is required","code":"CertificateRequired"\n}'
const INVALID_BODY = '{"message":"invalid request body","code":"InvalidBody"\n}'

/** curl can't connect: here, the handshake failed. */
const CURL_SSL_CONNECT_ERROR = 35

let folder: string
let server: TestServer
const identities = new Map<Client, string>()

beforeAll(async () => {
  if (!isPresent('openssl')) return
  folder = mkdtempSync(join(tmpdir(), 'latchkey-curl-'))
  writeFileSync(path('client.cnf'), OPENSSL_CONFIG)
  for (const client of CLIENT_NAMES) {
    await makeCertificate(client, ...CLIENTS[client], '-config', path('client.cnf'))
    identities.set(client, identityOfCertificate(readCertificate(client)))
  }
  server = await startTestServer({
    policies: {
      curl: {
        allow: [
          '/v1/key/create/curl-*',
          '/v1/key/generate/curl-*',
          '/v1/key/list/*',
          '/v1/key/encrypt/curl-*',
        ],
        identities: [...identities.values()],
      },
    },
    keys: ['curl-key'],
  })
  writeFileSync(path('ca.crt'), server.ca)
})

afterAll(async () => {
  await server?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true })
})

function path(name: string): string {
  return join(folder, name)
}

/** A self-signed certificate, `<name>.crt`, and its key, `<name>.key`. */
async function makeCertificate(name: string, ...args: readonly string[]): Promise<void> {
  const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)]
  const made = await run('openssl', ['req', '-x509', '-nodes', '-subj', `/CN=${name}`, ...files, ...args])
  if (made.code !== 0) throw new Error(made.stderr)
}

function readCertificate(name: string): X509Certificate {
  return new X509Certificate(readFileSync(path(`${name}.crt`)))
}

interface CurlReply {
  readonly code: number
  /** Exactly what came. */
  readonly body: string
  /** `200 2`: the status and the version of HTTP; `000 0` if there was no reply. */
  readonly status: string
  readonly error: string
}

/** @param client - the name of its certificate; null: none. */
async function curl(client: string | null, apiPath: string, ...args: readonly string[]): Promise<CurlReply> {
  const certificate = client === null ? [] : ['--cert', path(`${client}.crt`), '--key', path(`${client}.key`)]
  const report = ['--silent', '--show-error', '--write-out', '%{stderr}%{http_code} %{http_version}']
  const all = ['--disable', ...report, '--cacert', path('ca.crt'), ...certificate, ...args]
  const { code, stdout, stderr } = await run('curl', [...all, `${server.url}${apiPath}`])
  const [status = '', ...errors] = stderr.split('\n').reverse()
  return { code, body: stdout, status, error: errors.reverse().join('\n') }
}

describe.each(HTTP_OPTIONS)('curl %s', (http) => {
  const version = HTTP_VERSIONS[http]

  describe.each(CLIENT_NAMES)('with a certificate of openssl, %s', (client) => {
    peerTest(['curl', 'openssl'], 'is the identity of its key', async () => {
      const { body, status } = await curl(client, '/v1/identity/self/describe', http)

      expect(status).toBe(`200 ${version}`)
      expect(JSON.parse(body)).toMatchObject({ identity: identities.get(client), policy: 'curl' })
    })

    peerTest(['curl', 'openssl'], 'makes a key, and data keys with it', async () => {
      const name = `curl-${client}-${version.replace('.', '-')}`
      const created = await curl(client, `/v1/key/create/${name}`, http, '--request', 'PUT')
      const generated = await curl(client, `/v1/key/generate/${name}`, http, '--data', '{"context":"Y3R4"}')

      expect(created).toEqual({ code: 0, body: '', status: `200 ${version}`, error: '' })
      expect(generated.status).toBe(`200 ${version}`)
      expect(generated.body).toMatch(/^\{"plaintext":"[\w+/]{43}=","ciphertext":"[\w+/]{102}=="\}\n$/)
    })
  })

  peerTest(['curl', 'openssl'], 'gets 403 and the exact body where the policy allows nothing', async () => {
    const reply = await curl('RSA', '/v1/key/create/other', http, '--request', 'PUT')

    expect(reply).toEqual({ code: 0, body: NOT_ALLOWED, status: `403 ${version}`, error: '' })
  })

  peerTest(['curl', 'openssl'], 'finds its way from a listing without slash to the one with it', async () => {
    const reply = await curl('RSA', '/v1/key/list', http, '--location')

    expect(reply.status).toBe(`200 ${version}`)
    expect(JSON.parse(reply.body).names).toContain('curl-key')
  })

  peerTest(
    ['curl', 'openssl'],
    'gets 400 for a body of over a million bytes, and the reply to read',
    async () => {
      const plaintext = 'A'.repeat(1_000_000)
      writeFileSync(path('long.json'), `{"plaintext":"${plaintext}"}`)
      const body = ['--request', 'PUT', '--data-binary', `@${path('long.json')}`]
      const reply = await curl('RSA', '/v1/key/encrypt/curl-key', http, ...body)

      expect(reply).toMatchObject({ body: INVALID_BODY, status: `400 ${version}` })
    },
  )

  peerTest(['curl', 'openssl'], "gets 400 with openssl's default certificate, which is a CA's", async () => {
    await makeCertificate('default', '-newkey', 'rsa:2048')
    expect(readCertificate('default').ca).toBe(true)

    const refused = await curl('default', '/v1/key/list/', http)
    const open = await curl('default', '/version', http)

    expect(refused).toEqual({ code: 0, body: CERTIFICATE_REQUIRED, status: `400 ${version}`, error: '' })
    expect(open.status).toBe(`200 ${version}`)
  })

  peerTest(['curl', 'openssl'], 'gets no reply without a certificate', async () => {
    const reply = await curl(null, '/version', http)

    expect(reply.code).not.toBe(0)
    expect(reply).toMatchObject({ body: '', status: '000 0' })
  })
})

describe('TLS', () => {
  // The security level 0 makes openssl offer what it forbids itself by default.
  const weak = ['--ciphers', 'DEFAULT@SECLEVEL=0', '--tlsv1.0']

  peerTest(['curl', 'openssl'], 'of version 1.1 at most is refused by the server', async () => {
    const before = server.errorLog().length
    const reply = await curl('P-256', '/version', ...weak, '--tls-max', '1.1')

    expect(reply).toMatchObject({ code: CURL_SSL_CONNECT_ERROR, body: '', status: '000 0' })
    const [line] = server.errorLog().slice(before)
    expect(line?.msg).toMatch(/^http: TLS handshake error from 127\.0\.0\.1:\d+: .*(?:protocol|version)/i)
  })

  peerTest(['curl', 'openssl'], 'of version 1.2 at most is served', async () => {
    const reply = await curl('P-256', '/version', ...weak, '--tls-max', '1.2')

    expect(reply.status).toBe('200 2')
  })

  for (const version of ['-tls1_2', '-tls1_3']) {
    peerTest(
      'openssl',
      `openssl s_client ${version} without certificate is cut off before any reply`,
      async () => {
        const client = ['-quiet', version, '-alpn', 'http/1.1', '-connect', `127.0.0.1:${server.port}`]
        const request = 'GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n'
        const before = server.errorLog().length
        const { stdout } = await run('openssl', ['s_client', ...client], {
          input: request,
          timeoutMs: 10_000,
        })

        expect(stdout).toBe('')
        expect(server.errorLog().slice(before)).toMatchObject([
          {
            msg: expect.stringMatching(
              /^http: TLS handshake error from .*: tls: client didn't provide a certificate$/,
            ),
          },
        ])
      },
    )
  }

  peerTest(['curl', 'openssl'], 'openssl s_client with a certificate gets its reply', async () => {
    const certificate = ['-cert', path('P-256.crt'), '-key', path('P-256.key')]
    const client = ['-quiet', '-alpn', 'http/1.1', '-connect', `127.0.0.1:${server.port}`, ...certificate]
    const request = 'GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
    const { stdout } = await run('openssl', ['s_client', ...client], { input: request, timeoutMs: 10_000 })

    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })
})
