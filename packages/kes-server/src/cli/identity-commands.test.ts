import { X509Certificate } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ApiKey, decryptPrivateKey, identityOfCertificate } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ADMIN, API_KEY, CREATED_AT, IDENTITY, runKes } from '../../../../test/kes-cli/harness.ts'
import { makePair } from '../../../../test/kes-cli/pair.ts'
import { readVectors } from '../../../../test/read-vectors.ts'

interface ApiKeyRow {
  readonly api_key: string
  readonly identity: string
  readonly valid: boolean
  readonly error: string
}

interface CertificateRow {
  readonly name: string
  readonly pem: string
  readonly identity: string
}

const KEYS = readVectors<{ rows: ApiKeyRow[] }>('api-keys.json').rows
const PREFIXED = KEYS.filter((row) => row.api_key.startsWith('kes:v1:'))
const CERTIFICATES = readVectors<{ rows: CertificateRow[] }>('certificates.json').rows

let folder: string
const path = (name: string) => join(folder, name)
function write(name: string, text: string): string {
  writeFileSync(path(name), text)
  return path(name)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kes-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('of', () => {
  test.each(PREFIXED.filter(({ valid }) => !valid))('$api_key is refused', async ({ api_key, error }) => {
    expect(await runKes(['identity', 'of', api_key])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error: ${error}\n`,
    })
    expect(await runKes(['identity', api_key])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error: ${error}\n`,
    })
  })

  test.each(PREFIXED.filter(({ valid }) => valid))(
    '$api_key has its recorded identity',
    async ({ api_key, identity }) => {
      expect((await runKes(['identity', 'of', api_key])).stdout).toBe(identity)
      expect((await runKes(['identity', api_key])).stdout).toBe(identity)
    },
  )

  test.each(CERTIFICATES)('certificate $name has its recorded identity', async ({ pem, identity }) => {
    const file = write('x.crt', pem)
    expect((await runKes(['identity', 'of', file])).stdout).toBe(identity)
    expect((await runKes(['identity', file])).stdout).toBe(identity)
  })

  test('a file with anything but certificates is refused', async () => {
    const { keyPem, certPem } = makePair()
    const unsupported = (file: string) =>
      `Error: failed to parse certificate in '${file}': https: unsupported PEM data block\n`
    for (const text of [keyPem, certPem + keyPem]) {
      const file = write('admin.key', text)
      expect(await runKes(['identity', 'of', file])).toMatchObject({
        code: 1,
        stdout: '',
        stderr: unsupported(file),
      })
    }
    const empty = write('empty', '')
    expect((await runKes(['identity', 'of', empty])).stderr).toBe(
      `Error: failed to parse certificate in '${empty}': https: no PEM data block\n`,
    )
    expect((await runKes('identity of')).stderr).toBe(
      "Error: no API key or certificate specified. See 'kes identity of --help'\n",
    )
    expect((await runKes('identity of /nowhere/x')).stderr).toBe(
      'Error: open /nowhere/x: no such file or directory\n',
    )
  })

  test('a terminal gets the identity as a block', async () => {
    const { stdout } = await runKes(['identity', 'of', API_KEY], { isTerminal: true })
    expect(stdout).toBe(`\nIdentity:\n\n   ${IDENTITY}\n\n`)
  })
})

describe('identity alone', () => {
  test('it makes a new API key each time, and prints nothing else', async () => {
    const [first, second] = [await runKes('identity'), await runKes('identity')]
    expect(first.stdout).toMatch(/^kes:v1:[0-9A-Za-z+/]{44}$/)
    expect(first.stdout).not.toBe(second.stdout)
  })

  test('a terminal gets key and identity in a box', async () => {
    const { stdout } = await runKes('identity', { isTerminal: true })
    const apiKey = /kes:v1:\S+/.exec(stdout)?.[0] ?? ''
    expect(stdout).toContain(ApiKey.parse(apiKey).identity)
    expect(
      new Set(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.length),
      ).size,
    ).toBe(1)
  })

  test('an Ed25519 private key gives its API key, and no other key does', async () => {
    const apiKey = ApiKey.parse(API_KEY)
    const pem = apiKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    expect((await runKes(['identity', write('a.key', pem)])).stdout).toBe(API_KEY)
    const other = write('x.key', makePair().keyPem)
    expect((await runKes(['identity', other])).stderr).toBe(
      `Error: '${other}' contains unsupported private key. Only ed25519 private keys are supported\n`,
    )
  })

  test('a file without certificate and key is refused, and so is a damaged one', async () => {
    for (const text of ['', 'x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
      const file = write('x', text)
      expect((await runKes(['identity', file])).stderr).toBe(
        `Error: '${file}' contains no valid PEM certificate or private key\n`,
      )
    }
  })
})

describe('info', () => {
  test('the admin has a role, and neither policy nor creator', async () => {
    expect((await runKes(`identity info -k ${ADMIN}`)).stdout).toBe(
      `Identity    ${ADMIN}\nCreated At  2026-11-24 01:50:57\nRole        Admin\n`,
    )
  })

  test('a user has a policy; without an argument it is the caller', async () => {
    const text =
      `Identity    ${IDENTITY}\nPolicy      my-app\nCreated At  2026-11-24 01:50:57\n` +
      `Role        User\nCreated By  ${ADMIN}\n`
    expect((await runKes(`identity info ${IDENTITY}`)).stdout).toBe(text)
    expect((await runKes('identity info')).stdout).toBe(text)
  })

  test('--json prints JSON', async () => {
    expect((await runKes(`identity info --json ${ADMIN}`)).stdout).toBe(
      `{"identity":"${ADMIN}","admin":true,"created_at":"${CREATED_AT}"}\n`,
    )
    expect((await runKes('identity info --json')).stdout).toBe(
      `{"identity":"${IDENTITY}","policy":"my-app","created_at":"${CREATED_AT}","created_by":"${ADMIN}",` +
        `"allow":{"/v1/api":{}}}\n`,
    )
  })

  test('an unknown identity is refused', async () => {
    expect((await runKes('identity info nobody')).stderr).toBe('Error: identity does not exist\n')
  })
})

describe('new', () => {
  test.each([
    ['--key x', "private key file specified but no certificate file. Set the '--cert' flag"],
    ['--cert x', "certificate file specified but no private key file. Set the '--key' flag"],
    ...['ip 1.2.3.4', 'dns a', 'expiry 1h', 'encrypt', 'force'].map((flag) => [
      `--${flag}`,
      `'--${flag.split(' ')[0]}' requires a private key and certificate file. Set the '--cert' and '--key' flag`,
    ]),
    [
      '--expiry x',
      `invalid argument "x" for "--expiry" flag: time: invalid duration "x". See 'kes identity new --help'`,
    ],
    ['a b', "too many arguments. See 'kes identity new --help'"],
  ])('identity new %s is refused', async (args, message) => {
    expect(await runKes(`identity new ${args}`)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error: ${message}\n`,
    })
  })

  test('without files it prints the API key and its identity', async () => {
    const { stdout } = await runKes('identity new')
    const apiKey = /kes:v1:\S+/.exec(stdout)?.[0] ?? ''
    expect(stdout).toBe(`Your API key:

   ${apiKey}

This is the only time it is shown. Keep it secret and secure!

Your Identity:

   ${ApiKey.parse(apiKey).identity}

The identity is not a secret. It can be shared. Any peer
needs this identity in order to verify your API key.

The identity can be computed again via:

    kes identity of ${apiKey}

`)
  })

  const newFiles = (args: readonly string[] = [], passwords: string[] = []) =>
    runKes(['identity', 'new', '--key', path('a.key'), '--cert', path('a.crt'), ...args], { passwords })

  test('with files it writes key and certificate, and names them', async () => {
    const { code, stdout } = await newFiles()
    expect(code).toBe(0)
    expect(stdout).toContain(`The generated TLS private key is stored at: ${path('a.key')}\n`)
    expect(stdout).toContain(`The generated TLS certificate is stored at: ${path('a.crt')}\n`)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`    kes identity of ${path('a.crt')}`)
    expect(statSync(path('a.key')).mode & 0o777).toBe(0o600)
    expect(statSync(path('a.crt')).mode & 0o777).toBe(0o644)
    expect(readdirSync(folder).sort()).toEqual(['a.crt', 'a.key'])

    const certificate = new X509Certificate(readFileSync(path('a.crt')))
    const identity = identityOfCertificate(certificate)
    expect(certificate.subject).toBe(`CN=${identity}`)
    expect(stdout).toContain(`   ${identity}\n`)
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'])
    expect(certificate.validToDate.getTime() - certificate.validFromDate.getTime()).toBe(720 * 3_600_000)
    expect((await runKes(['identity', path('a.key')])).stdout).toBe(/kes:v1:\S+/.exec(stdout)?.[0])
  })

  test('subject, names, addresses and expiry stand in the certificate', async () => {
    await newFiles(['me', '--ip', '127.0.0.1,::1', '--dns', 'a.test', '--dns=b.test', '--expiry', '1h'])
    const certificate = new X509Certificate(readFileSync(path('a.crt')))
    expect(certificate.subject).toBe('CN=me')
    expect(certificate.subjectAltName).toBe(
      'DNS:a.test, DNS:b.test, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    )
    expect(certificate.validToDate.getTime() - certificate.validFromDate.getTime()).toBe(3_600_000)
  })

  test('a malformed address or name writes nothing', async () => {
    expect((await newFiles(['--ip', 'x'])).stderr).toBe("Error: 'x' is not an IP address\n")
    expect((await newFiles(['--dns', 'a b'])).stderr).toBe("Error: 'a b' is not a DNS name\n")
    expect(readdirSync(folder)).toEqual([])
  })

  test('neither file is overwritten without --force', async () => {
    write('a.crt', 'cert')
    expect((await newFiles()).stderr).toBe('Error: certificate already exists. Use --force to overwrite it\n')
    write('a.key', 'key')
    expect((await newFiles()).stderr).toBe('Error: private key already exists. Use --force to overwrite it\n')
    expect([readFileSync(path('a.key'), 'utf8'), readFileSync(path('a.crt'), 'utf8')]).toEqual([
      'key',
      'cert',
    ])
    expect((await newFiles(['-f'])).code).toBe(0)
    expect(readFileSync(path('a.key'), 'utf8')).toContain('BEGIN PRIVATE KEY')
    expect(statSync(path('a.key')).mode & 0o777).toBe(0o600)
  })

  test('a folder that does not exist is named', async () => {
    const { stderr } = await runKes('identity new --key /nowhere/a.key --cert /nowhere/a.crt')
    expect(stderr).toBe('Error: open /nowhere/a.key: no such file or directory\n')
  })

  test('one path for both files is refused, however it is written, and a key stays as it was', async () => {
    write('a.key', 'mine')
    symlinkSync(folder, path('link'))
    for (const cert of ['a.key', './a.key', 'link/a.key']) {
      const file = `${folder}/${cert}`
      expect(await newFiles(['-f', '--cert', file])).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `Error: '--key' and '--cert' are the same file '${file}'\n`,
      })
    }
    expect(readFileSync(path('a.key'), 'utf8')).toBe('mine')
  })

  test.each([
    ['/nowhere/a.crt', [], 'no such file or directory'],
    ['/nowhere/a.crt', ['-f'], 'no such file or directory'],
    ['folder', ['-f'], 'is a directory'],
  ])('a certificate that can not be written to %s leaves no key (%j)', async (cert, flags, problem) => {
    mkdirSync(path('folder'))
    const file = resolve(folder, cert)
    expect(await newFiles(['--cert', file, ...flags])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `Error: open ${file}: ${problem}\n`,
    })
    expect(readdirSync(folder)).toEqual(['folder'])
  })

  test('--encrypt asks twice, and the key needs the password from then on', async () => {
    expect((await newFiles(['--encrypt'], ['one', 'two'])).stderr).toBe("Error: passwords don't match\n")
    expect(readdirSync(folder)).toEqual([])
    const { stdout } = await newFiles(['--encrypt'], ['secret', 'secret'])
    const pem = readFileSync(path('a.key'), 'utf8')
    const apiKey = ApiKey.fromPrivateKey(decryptPrivateKey(pem, 'secret'))
    expect(stdout).toContain(apiKey.toString())
    expect(() => decryptPrivateKey(pem, 'wrong')).toThrow('incorrect password')
    expect((await runKes(['identity', path('a.key')], { passwords: ['secret'] })).stdout).toBe(
      apiKey.toString(),
    )
  })
})
