/** A sandbox from its start to its end, and what it is good for in between. */
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import {
  ApiKey,
  identityOfCertificate,
  KesClient,
  KesConnectionError,
  KeyDisabledError,
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
} from '@latchkey/kms-client'
import { type KesSandbox, KeyServerMissingError, startKes } from '@latchkey/kms-client/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { loadKeyServer } from '../../packages/kms-client/src/testing/key-server.ts'
import { type Run, run } from '../peers/peer.ts'
import { exchange } from './exchange.ts'

const ROOT = join(import.meta.dirname, '../..')
const PLACES = ['same', 'child'] as const

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-life-'))
  vi.stubEnv('TMPDIR', folder)
})

afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

describe.each(PLACES)('a server in the %s process', (place) => {
  test('has the keys it was asked for, which can be locked, unlocked and erased', async () => {
    await using kes = await startKes({ keys: ['invoices', 'orders'], process: place })
    const { ciphertext, plaintext } = await kes.client.generateKey('orders')

    await kes.lock('orders')
    await expect(kes.client.decrypt('orders', ciphertext)).rejects.toThrow(KeyDisabledError)
    await kes.unlock('orders')
    expect(await kes.client.decrypt('orders', ciphertext)).toEqual(plaintext)
    await kes.erase('orders')
    await expect(kes.client.decrypt('orders', ciphertext)).rejects.toThrow(KeyNotFoundError)

    await kes.create('orders')
    await expect(kes.create('orders')).rejects.toThrow(KeyExistsError)
    await expect(kes.lock('absent')).rejects.toThrow(KeyNotFoundError)
    expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['invoices', 'orders'])
  })

  test('leaves the name of an erased key to others, or reserves it, as it was asked to', async () => {
    await using free = await startKes({ keys: ['orders'], process: place })
    await using reserved = await startKes({ keys: ['orders'], process: place, erasedNames: 'reserved' })
    for (const kes of [free, reserved]) await kes.erase('orders')

    await free.client.createKey('orders')
    await expect(reserved.client.createKey('orders')).rejects.toThrow(KeyNameReservedError)
    await reserved.create('orders')
    await reserved.erase('orders')
    await reserved.reset()
    expect(await Array.fromAsync(reserved.client.listKeys())).toEqual(['orders'])
  })

  test('is held without being recorded, and whatever its faults', async () => {
    await using kes = await startKes({ keys: ['orders'], process: place })
    await kes.faults.refuse()
    await kes.faults.error({ status: 500 })
    await kes.lock('orders')
    await kes.faults.clear()

    await expect(kes.client.generateKey('orders')).rejects.toThrow(KeyDisabledError)
    expect(await kes.requests()).toMatchObject([{ path: '/v1/key/generate/orders', status: 403 }])
  })

  test('records requests in order, to be had by path and method until they are forgotten', async () => {
    await using kes = await startKes({ keys: ['orders'], process: place })
    await kes.client.createKey('a', { reuse: true })
    await kes.client.describeKey('a')
    await kes.client.deleteKey('a')
    const all = await kes.requests()

    expect(all.map(({ method, path, query }) => `${method} ${path} ${query}`)).toEqual([
      'PUT /v1/key/create/a reuse=true',
      'GET /v1/key/describe/a ',
      'DELETE /v1/key/delete/a ',
    ])
    expect(await kes.requests({ methods: ['DELETE', 'PUT'], paths: '*/a' })).toEqual([all[0], all[2]])
    expect(await kes.requests({ paths: '/v1/key/list/*' })).toEqual([])
    await expect(kes.requests({ path: '/v1/*' } as object)).rejects.toThrow(TypeError)
    await kes.clearRequests()
    expect(await kes.requests()).toEqual([])
  })

  test('records nothing that is secret', async () => {
    await using kes = await startKes({ keys: ['orders'], process: place })
    const { plaintext, ciphertext } = await kes.client.generateKey(
      'orders',
      Buffer.from('a context of some length'),
    )
    await kes.client.decrypt('orders', ciphertext, Buffer.from('a context of some length'))
    const recorded = JSON.stringify(await kes.requests())

    for (const secret of [plaintext, ciphertext, Buffer.from('a context of some length')]) {
      expect(recorded).not.toContain(Buffer.from(secret).toString('base64').slice(0, 16))
    }
    expect(recorded).not.toContain(kes.apiKey.slice(10, 30))
  })

  test('after a reset is as at its start, with keys that open nothing old', async () => {
    await using kes = await startKes({ keys: ['orders'], process: place })
    const { ciphertext } = await kes.client.generateKey('orders')
    await kes.create('more')
    await kes.lock('orders')
    await kes.faults.refuse()

    await kes.reset()
    expect(await kes.requests()).toEqual([])
    expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['orders'])
    expect(await kes.client.generateKey('orders')).toHaveProperty('plaintext')
    await expect(kes.client.decrypt('orders', ciphertext)).rejects.toThrow('not authentic')
  })

  test('shows another certificate of the same authority once it has been rotated', async () => {
    await using kes = await startKes({ process: place })
    await kes.client.version()
    const before = await certificateOf(kes)
    await kes.rotateCertificate()
    const after = await certificateOf(kes)

    expect(after.fingerprint256).not.toBe(before.fingerprint256)
    expect(after.publicKey.equals(before.publicKey)).toBe(false)
    expect(after.verify(new X509Certificate(kes.ca).publicKey)).toBe(true)
    expect(await kes.client.version()).toHaveProperty('version')
    expect(await exchange(kes, 'h2', '/version')).toMatchObject({ status: 200 })
  })

  test('gives what clients are set up with: environment, authority, API key, certificate', async () => {
    await using kes = await startKes({ keys: ['orders', 'invoices'], process: place })

    expect(kes.env).toEqual({
      KES_SERVER: kes.endpoint,
      KES_API_KEY: kes.apiKey,
      KES_CA_PATH: kes.caPath,
      MINIO_KMS_KES_ENDPOINT: kes.endpoint,
      MINIO_KMS_KES_API_KEY: kes.apiKey,
      MINIO_KMS_KES_CAPATH: kes.caPath,
      MINIO_KMS_KES_KEY_NAME: 'orders',
    })
    expect(readFileSync(kes.caPath, 'utf8')).toBe(kes.ca)
    expect(ApiKey.parse(kes.apiKey).identity).toBe(kes.identity)
    expect(identityOfCertificate(readFileSync(kes.certPath))).toBe(kes.identity)
    expect(statSync(kes.keyPath).mode & 0o077).toBe(0)
    expect(await kes.client.describeSelf()).toMatchObject({ identity: kes.identity, isAdmin: true })
  })

  test('two at once have nothing in common but their authority', async () => {
    await using first = await startKes({ keys: ['orders'], process: place })
    await using second = await startKes({ keys: ['orders'], process: place })
    await first.lock('orders')
    await first.faults.error({ status: 500, paths: '/version' })

    expect(await second.client.generateKey('orders')).toHaveProperty('plaintext')
    expect(await second.client.version()).toHaveProperty('version')
    expect(await first.requests()).toEqual([])
    expect(second.ca).toBe(first.ca)
    expect(second.identity).not.toBe(first.identity)
    await using stranger = new KesClient({ ...second.clientOptions, apiKey: first.apiKey })
    await expect(stranger.generateKey('orders')).rejects.toThrow('not authorized')
  })

  test('ends at once with requests under way, and leaves nothing behind', async () => {
    const folders = temporaryFolders()
    const kes = await startKes({ keys: ['orders'], process: place })
    const hang = await kes.faults.hang({ paths: '/v1/key/*' })
    await kes.faults.throttle({ bytesPerSecond: 1, paths: '/v1/api' })
    const underWay = [
      kes.client.generateKey('orders'),
      kes.client.apis(),
      exchange(kes, 'http/1.1', '/v1/api'),
    ]
    const outcomes = Promise.allSettled(underWay)
    while ((await kes.requests()).length < 3) await sleep(5)
    await Promise.all([kes.stop(), kes[Symbol.asyncDispose]()])

    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(existsSync(dirname(kes.caPath))).toBe(false)
    expect(temporaryFolders()).toEqual(folders)
    await expect(kes.client.version()).rejects.toThrow(KesConnectionError)
    await expect(kes.lock('orders')).rejects.toThrow('the sandbox has been stopped')
    if (place === 'child') await expect(hang.clear()).rejects.toThrow()
  })

  test.each([
    [{ keys: ['a b'] }, /key name 'a b' is empty, too long or contains invalid characters/],
    [{ port: 70_000 }, /70000 is no port/],
    [{ seed: 0.5 }, /`seed` is a whole number, not 0.5/],
    [{ erasedNames: 'gone' as 'free' }, /`erasedNames` is free or reserved/],
  ])('does not start with %j, and leaves nothing behind', async (options, message) => {
    const folders = temporaryFolders()
    await expect(startKes({ ...options, process: place })).rejects.toThrow(message)
    expect(temporaryFolders()).toEqual(folders)
  })

  test('does not start on a port that is taken', async () => {
    await using first = await startKes()
    const port = Number(new URL(first.endpoint).port)
    await expect(startKes({ port, process: place })).rejects.toThrow('EADDRINUSE')
  })
})

test('a process that has disposed of its sandboxes, whatever their faults, ends by itself', async () => {
  const { code, stdout, stderr } = await runProgram(`
    import { startKes } from '@latchkey/kms-client/testing'
    for (const place of ['same', 'child']) {
      await using kes = await startKes({ keys: ['orders'], process: place })
      await kes.faults.latency({ ms: 600_000, paths: '/version' })
      await kes.faults.reset({ paths: '/v1/api' })
      await kes.lock('orders')
      kes.client.version().catch(() => {})
      await kes.client.apis().catch(() => {})
      await kes.faults.hang({ at: 'connection' })
      kes.client.apis().catch(() => {})
      await kes.faults.refuse()
    }
    console.log('done')
  `)
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'done\n', stderr: '' })
})

test('a process that exits without disposal leaves no file and no process', async () => {
  const folders = temporaryFolders()
  const { code, stdout } = await runProgram(`
    import { startKes } from '@latchkey/kms-client/testing'
    await startKes()
    const child = await startKes({ process: 'child' })
    console.log(child.endpoint)
    process.exit(3)
  `)
  expect(code).toBe(3)
  expect(temporaryFolders()).toEqual(folders)
  await untilRefused(Number(new URL(stdout.trim()).port))
})

test('without the server installed, startKes says what to install', async () => {
  await expect(loadKeyServer('@latchkey/absent')).rejects.toThrow(
    new KeyServerMissingError(
      "startKes() runs the package '@latchkey/absent', which is not installed: npm install --save-dev @latchkey/absent",
    ),
  )
})

test('with something else in its place, startKes says that it is too old', async () => {
  await expect(loadKeyServer('vitest')).rejects.toThrow(/'vitest', which is too old here/)
})

function certificateOf(kes: KesSandbox): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      { host: '127.0.0.1', port: Number(new URL(kes.endpoint).port), ca: kes.ca },
      () => {
        const certificate = socket.getPeerX509Certificate()
        socket.destroy()
        if (certificate === undefined) reject(new Error('no certificate'))
        else resolve(certificate)
      },
    )
    socket.once('error', reject)
  })
}

/** Those in the folder that this file has for itself. */
function temporaryFolders(): string[] {
  return readdirSync(tmpdir())
}

/** A module, in a process of its own. */
function runProgram(text: string): Promise<Run> {
  const args = ['--input-type=module', '--eval', text]
  return run(process.execPath, args, { cwd: ROOT, env: { TMPDIR: tmpdir() } })
}

async function untilRefused(port: number): Promise<void> {
  while (await isListening(port)) await sleep(10)
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
