import { execFile } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ApiKey, identityOfPublicKey, KesClient, makeCertificate } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeCertificates } from '../../certs/make-certs.ts'

const run = promisify(execFile)
const PROGRAM = join(import.meta.dirname, '../../certs/make-certs.ts')
const DAY_MS = 86_400_000
const ALL = ['ca.crt', 'ca.key', 'client.crt', 'client.key', 'server.crt', 'server.key']

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certs-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function readAll(): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']))
}

async function certificate(name: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(join(folder, name)))
}

/** Replaces the server's certificate by one of the same CA and key that has another end. */
async function reissueServer(notAfter: Date): Promise<void> {
  const read = async (name: string) => createPrivateKey(await readFile(join(folder, name)))
  const made = makeCertificate({
    subjectCommonName: 'localhost',
    publicKey: await read('server.key'),
    issuer: { certificate: await certificate('ca.crt'), privateKey: await read('ca.key') },
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    validity: { notBefore: new Date(Date.now() - DAY_MS), notAfter },
  })
  await writeFile(join(folder, 'server.crt'), made.toString())
}

test('an empty folder gets all files, private keys for their owner only, and nothing else', async () => {
  const { written } = await makeCertificates(folder)
  expect([...written].sort()).toEqual(ALL)
  expect((await readdir(folder)).sort()).toEqual(ALL)
  for (const name of ALL.filter((each) => each.endsWith('.key'))) {
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
  }
})

test('the certificates are of the CA, for their uses and names', async () => {
  const { clientIdentity } = await makeCertificates(folder)
  const ca = await certificate('ca.crt')
  const server = await certificate('server.crt')
  const client = await certificate('client.crt')

  expect([ca.ca, server.ca, client.ca]).toEqual([true, false, false])
  for (const leaf of [server, client]) expect(leaf.checkIssued(ca) && leaf.verify(ca.publicKey)).toBe(true)
  expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  expect(client.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  expect(server.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
  expect(clientIdentity).toBe(identityOfPublicKey(client.publicKey))
  const key = createPrivateKey(await readFile(join(folder, 'client.key')))
  expect(ApiKey.fromPrivateKey(key).identity).toBe(clientIdentity)
})

test('a server that is reached at another address gets a certificate for it, once, with its own key', async () => {
  await makeCertificates(folder)
  const before = await certificate('server.crt')
  const { written } = await makeCertificates(folder, { addresses: ['192.0.2.7'] })
  expect(written).toEqual(['server.crt'])
  const after = await certificate('server.crt')
  expect(after.checkIP('192.0.2.7')).toBe('192.0.2.7')
  expect(after.checkHost('localhost')).toBe('localhost')
  expect(after.publicKey.equals(before.publicKey)).toBe(true)
  expect((await makeCertificates(folder, { addresses: ['192.0.2.7'] })).written).toEqual([])
  expect((await makeCertificates(folder)).written).toEqual([])
})

test('openssl finds the chain strictly valid', async ({ skip }) => {
  const hasOpenssl = await run('openssl', ['version']).then(
    () => true,
    () => false,
  )
  if (!hasOpenssl) skip('openssl is not installed')
  await makeCertificates(folder)
  const verify = (purpose: string, name: string) =>
    run('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.crt', name], {
      cwd: folder,
    })

  expect((await verify('sslserver', 'server.crt')).stdout).toBe('server.crt: OK\n')
  expect((await verify('sslclient', 'client.crt')).stdout).toBe('client.crt: OK\n')
  await expect(verify('sslclient', 'server.crt')).rejects.toThrow()
})

test('a client that trusts the CA connects to every name of the server, and is known', async () => {
  const paths = await makeCertificates(folder)
  const read = (path: string) => readFile(path)
  const ca = await read(paths.caCertificate)
  const identities: string[] = []
  const server = createServer(
    {
      cert: await read(paths.serverCertificate),
      key: await read(paths.serverKey),
      ca,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (_, response) => response.end('{"version":"1"}'),
  )
  server.on('secureConnection', (socket) => {
    const peer = socket.getPeerX509Certificate()
    if (peer) identities.push(identityOfPublicKey(peer.publicKey))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const credentials = { cert: await read(paths.clientCertificate), key: await read(paths.clientKey) }
  for (const host of ['localhost', '127.0.0.1']) {
    await using client = new KesClient({ endpoint: `${host}:${port}`, ca, certificate: credentials })
    expect((await client.version()).version).toBe('1')
  }
  await new Promise((resolve) => server.close(resolve))
  expect(identities).toEqual([paths.clientIdentity, paths.clientIdentity])
})

describe('a second time', () => {
  test('nothing is written, and the identity is the same', async () => {
    const first = await makeCertificates(folder)
    const before = await readAll()
    const second = await makeCertificates(folder)
    expect(second).toEqual({ ...first, written: [] })
    expect(await readAll()).toEqual(before)
  })

  test('everything is another one with --force', async () => {
    await makeCertificates(folder)
    const before = await readAll()
    expect([...(await makeCertificates(folder, { force: true })).written].sort()).toEqual(ALL)
    const after = await readAll()
    for (const name of ALL) expect(after[name]).not.toBe(before[name])
  })

  test.each([
    ['server.crt', ['server.crt']],
    ['client.key', ['client.key', 'client.crt']],
    ['server.key', ['server.key', 'server.crt']],
    ['ca.crt', ['ca.crt']],
  ])('only what is missing without %s is written', async (name, written) => {
    await makeCertificates(folder)
    await rm(join(folder, name))
    expect((await makeCertificates(folder)).written).toEqual(written)
    expect((await makeCertificates(folder)).written).toEqual([])
  })

  test('certificates of a CA that is gone are issued by the new one, with their own keys', async () => {
    const { clientIdentity } = await makeCertificates(folder)
    await rm(join(folder, 'ca.crt'))
    await rm(join(folder, 'ca.key'))
    const again = await makeCertificates(folder)
    expect(again.written).toEqual(['ca.key', 'ca.crt', 'server.crt', 'client.crt'])
    expect(again.clientIdentity).toBe(clientIdentity)
  })

  test('a private key that others could read is closed to them', async () => {
    await makeCertificates(folder)
    await chmod(join(folder, 'server.key'), 0o644)
    await makeCertificates(folder)
    expect((await stat(join(folder, 'server.key'))).mode & 0o777).toBe(0o600)
  })
})

describe('a server certificate', () => {
  test('that expires in 29 days is renewed by the same CA, with the same key', async () => {
    await makeCertificates(folder)
    await reissueServer(new Date(Date.now() + 29 * DAY_MS))
    const before = await readAll()

    expect((await makeCertificates(folder)).written).toEqual(['server.crt'])
    const renewed = await certificate('server.crt')
    expect(renewed.validToDate.getTime()).toBeGreaterThan(Date.now() + 360 * DAY_MS)
    expect(renewed.verify((await certificate('ca.crt')).publicKey)).toBe(true)
    expect({ ...(await readAll()), 'server.crt': '' }).toEqual({ ...before, 'server.crt': '' })
  })

  test('that expires in 31 days stays', async () => {
    await makeCertificates(folder)
    await reissueServer(new Date(Date.now() + 31 * DAY_MS))
    expect((await makeCertificates(folder)).written).toEqual([])
  })

  test('can not be renewed without the key of the CA, and needs none while it is good', async () => {
    await makeCertificates(folder)
    await reissueServer(new Date(Date.now() + 29 * DAY_MS))
    await rm(join(folder, 'ca.key'))
    await expect(makeCertificates(folder)).rejects.toThrow('ca.key is needed to issue server.crt')

    await rm(folder, { recursive: true })
    await makeCertificates(folder)
    await rm(join(folder, 'ca.key'))
    expect((await makeCertificates(folder)).written).toEqual([])
  })
})

describe('a file of another origin stays as it is, and is named:', () => {
  test.each(ALL)('%s without PEM', async (name) => {
    await makeCertificates(folder)
    await writeFile(join(folder, name), 'mine')
    await expect(makeCertificates(folder)).rejects.toThrow(new RegExp(`/${name} holds no .* in PEM`))
    expect(await readFile(join(folder, name), 'utf8')).toBe('mine')
  })

  test('a server certificate of another CA', async () => {
    await makeCertificates(folder)
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const validity = { notBefore: new Date(), notAfter: new Date(Date.now() + DAY_MS) }
    const own = makeCertificate({
      subjectCommonName: 'own',
      publicKey,
      issuer: { privateKey },
      validity,
    })
    await writeFile(join(folder, 'server.crt'), own.toString())
    await expect(makeCertificates(folder)).rejects.toThrow('server.crt is not from the CA in ca.crt')
  })

  test('a private key that is not that of the CA', async () => {
    await makeCertificates(folder)
    const { privateKey } = generateKeyPairSync('ed25519')
    await writeFile(join(folder, 'ca.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    await expect(makeCertificates(folder)).rejects.toThrow('is not the private key of ca.crt')
  })
})

describe('the program', () => {
  test('writes to --out, and says what it wrote', async () => {
    const out = join(folder, 'new', 'folder')
    const { stdout } = await run(process.execPath, [PROGRAM, '--out', out])
    expect(stdout).toMatch(/: wrote ca\.key, ca\.crt, server\.key, server\.crt, client\.key, client\.crt\n/)
    expect(stdout).toMatch(/Identity of the example client: [0-9a-f]{64}\n$/)
    expect((await readdir(out)).sort()).toEqual(ALL)
  })

  test('explains itself, and writes nothing', async () => {
    const { stdout } = await run(process.execPath, [PROGRAM, '--help', '--out', folder])
    expect(stdout).toContain('--force')
    expect(await readdir(folder)).toEqual([])
  })

  test('refuses an option that it does not know', async () => {
    await expect(run(process.execPath, [PROGRAM, '--frce'])).rejects.toMatchObject({ code: 1, stdout: '' })
  })

  test('fails with one line', async () => {
    await writeFile(join(folder, 'ca.crt'), 'mine')
    await expect(run(process.execPath, [PROGRAM, '--out', folder])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^Error: .*ca\.crt holds no certificate in PEM: remove it, or use --force\n$/,
      ),
    })
  })
})
