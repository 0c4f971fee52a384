import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encryptPrivateKey } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runKes } from '../../../../test/kes-cli/harness.ts'
import { keyPairOf, serverOf } from '../../../../test/sandbox/certificates.ts'

let folder: string
let file: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'config-command-'))
  file = join(folder, 'kes.yml')
  const { key, cert } = await serverOf()
  writeFileSync(join(folder, 'tls.key'), key)
  writeFileSync(join(folder, 'tls.crt'), cert)
})

afterEach(() => rmSync(folder, { recursive: true }))

function write(rest: string): void {
  const tls = `tls: {key: ${join(folder, 'tls.key')}, cert: ${join(folder, 'tls.crt')}}`
  writeFileSync(file, `admin: {identity: disabled}\n${tls}\n${rest}\n`)
}

describe('kes config check', () => {
  test('says that a file is fine', async () => {
    write('keystore: {fs: {path: keys}}')
    expect(await runKes(['config', 'check', file])).toMatchObject({
      code: 0,
      stdout: `${file}: no problems found\n`,
      stderr: '',
    })
  })

  test('prints each problem with its place, on the standard output or as JSON', async () => {
    write('keystore: {fs: {pth: keys}}')
    const { code, stdout } = await runKes(['config', 'check', file])
    expect(code).toBe(1)
    expect(stdout).toBe(
      `${file}:3:12: error: kesconf: invalid fs keystore: no path specified (add 'keystore.fs.path')\n` +
        `${file}:3:17: error: unknown field 'keystore.fs.pth' is ignored (did you mean 'path'?)\n` +
        `${file}: 2 problems found\n`,
    )
    const json = await runKes(['config', 'check', '--json', file])
    expect(JSON.parse(json.stdout)).toHaveLength(2)
  })
  test('warns of old spellings, which are no error', async () => {
    write('keys: {fs: {path: keys}}')
    expect(await runKes(['config', 'check', file])).toMatchObject({
      code: 0,
      stdout:
        `${file}:3:8: warning: 'keys.fs' is an old spelling (write 'keystore.fs')\n` +
        `${file}: 1 problem found\n`,
    })
    const { stdout } = await runKes(['config', 'check', '--print', file])
    expect(parse(stdout)).toMatchObject({ keystore: { fs: { path: 'keys' } } })
  })

  test('looks at the files of a config that has errors, too', async () => {
    write('workers: 0\nkeystore: {fs: {path: keys}}')
    rmSync(join(folder, 'tls.key'))
    const { stdout } = await runKes(['config', 'check', file])
    expect(stdout).toContain(`${file}:2:12: error: failed to read TLS certificate: open `)
    expect(stdout).toContain(`${file}:3:10: error: `)
  })

  test('hints at what a private key needs that can not be read as it is', async () => {
    write('keystore: {fs: {path: keys}}')
    const { privateKey } = keyPairOf('another', 'p256')
    const hintFor = async (pem: string | Buffer) => {
      writeFileSync(join(folder, 'tls.key'), pem)
      return (await runKes(['config', 'check', file])).stdout.replaceAll(folder, '').split('\n')[0]
    }
    expect(await hintFor(privateKey.export({ type: 'pkcs8', format: 'pem' }))).toMatch(
      /: '\/tls\.key' is not the key of '\/tls\.crt' \(name files that belong together\)$/,
    )
    expect(await hintFor(encryptPrivateKey(privateKey, 'x'))).toMatch(
      /: password required \(set 'tls\.password' to the password of the private key\)$/,
    )
    const encryption = { cipher: 'aes-256-cbc', passphrase: 'x' } as const
    expect(await hintFor(privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }))).toMatch(
      /encrypted as PKCS #8 has it \(write the private key in the form of RFC 1423, which 'tls\.password' is for/,
    )
    expect(await hintFor('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')).toMatch(
      /failed to parse private key \(name the PEM file of the certificate's private key\)$/,
    )
  })
})

describe('kes config check --print', () => {
  test('prints what the file means, without secrets', async () => {
    write('cache: {expiry: {any: 90s}}\nkeystore: {sqlite: {path: p, passphrase: open-sesame}}')
    const { code, stdout, stderr } = await runKes(['config', 'check', '--print', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).not.toContain('open-sesame')
    expect(parse(stdout)).toMatchObject({
      address: '0.0.0.0:7373',
      cache: { expiry: { any: '1m30s', unused: '30s' } },
      keystore: { sqlite: { path: 'p', passphrase: '***', argon2: { memory: '64MiB' } } },
    })
    const json = await runKes(['config', 'check', '--print', '--json', file])
    expect(JSON.parse(json.stdout)).toEqual(parse(stdout))
  })

  test('keeps problems apart from it, and exit code 1 for them', async () => {
    write('foo: 1\nkeystore: {fs: {path: keys}}')
    const { code, stdout, stderr } = await runKes(['config', 'check', '--print', file])
    expect(code).toBe(1)
    expect(stderr).toContain("unknown field 'foo' is ignored")
    expect(parse(stdout)).toMatchObject({ keystore: { fs: { path: 'keys' } } })
  })

  test('prints nothing of a file that means nothing', async () => {
    write('keystore: {fs: {}}')
    const { code, stdout, stderr } = await runKes(['config', 'check', '--print', file])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('no path specified')
  })
})
