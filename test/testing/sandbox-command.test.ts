/** `kes sandbox`, as a test in another language uses it: a process, a line of JSON, and a control URL. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { KesClient, KeyDisabledError, KeyNameReservedError } from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../peers/peer.ts'

const MAIN = join(import.meta.dirname, '../../packages/kes-server/src/main.js')

interface Description {
  readonly endpoint: string
  readonly api_key: string
  readonly identity: string
  readonly ca_path: string
  readonly cert_path: string
  readonly key_path: string
  readonly control_url: string
  readonly control_token: string
  readonly env: Readonly<Record<string, string>>
}

interface Sandbox extends AsyncDisposable {
  readonly child: ChildProcess
  readonly description: Description
  readonly client: KesClient
  control(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
}

async function startSandbox(...args: readonly string[]): Promise<Sandbox> {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--json', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const description = await firstLine(child)
  const { endpoint, api_key: apiKey, ca_path: caPath } = description
  const client = new KesClient({ endpoint, apiKey, caPath, retries: 0 })
  return {
    child,
    description,
    client,
    control: (method, path, body) => control(description, method, path, body),
    async [Symbol.asyncDispose]() {
      await client.close()
      if (child.exitCode !== null || child.signalCode !== null) return
      child.stdin?.end()
      await once(child, 'exit')
    },
  }
}

async function firstLine(child: ChildProcess): Promise<Description> {
  if (child.stdout === null) throw new Error('no stdout')
  for await (const line of createInterface(child.stdout)) return JSON.parse(line)
  throw new Error('the sandbox ended without a word')
}

async function control(
  { control_url: url, control_token: token }: Description,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: unknown }> {
  const reply = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: reply.status, body: await reply.json() }
}

describe('the control API', () => {
  let kes: Sandbox

  beforeAll(async () => {
    kes = await startSandbox('--key', 'orders', '--key', 'invoices', '--reserve', '--seed', '7')
  })

  afterAll(async () => {
    await kes[Symbol.asyncDispose]()
  })

  test('locks, unlocks, creates and erases keys', async () => {
    const done = { status: 200, body: {} }
    expect(await kes.control('POST', '/keys/orders/lock')).toEqual(done)
    await expect(kes.client.generateKey('orders')).rejects.toThrow(KeyDisabledError)
    expect(await kes.control('POST', '/keys/orders/unlock')).toEqual(done)
    expect(await kes.client.generateKey('orders')).toHaveProperty('plaintext')
    expect(await kes.control('PUT', '/keys/more')).toEqual(done)
    expect(await kes.control('DELETE', '/keys/invoices')).toEqual(done)
    expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['more', 'orders'])
    await expect(kes.client.createKey('invoices')).rejects.toThrow(KeyNameReservedError)
    expect(await kes.control('POST', '/keys/absent/lock')).toEqual({
      status: 404,
      body: { message: 'key does not exist' },
    })
  })

  test('adds, lists and clears faults', async () => {
    const fault = { kind: 'error', status: 503, paths: '/version' }
    const { body } = await kes.control('POST', '/faults', fault)
    const { id } = body as { id: number }
    await expect(kes.client.version()).rejects.toThrow('service unavailable')

    expect(await kes.control('GET', '/faults')).toEqual({ status: 200, body: [{ id, fault, hits: 1 }] })
    expect(await kes.control('DELETE', `/faults/${id}`)).toEqual({ status: 200, body: {} })
    expect(await kes.client.version()).toHaveProperty('version')
    expect(await kes.control('DELETE', `/faults/${id}`)).toEqual({
      status: 404,
      body: { message: `there is no fault ${id}` },
    })
    await kes.control('POST', '/faults', { kind: 'refuse' })
    expect(await kes.control('DELETE', '/faults')).toEqual({ status: 200, body: {} })
    expect(await kes.client.version()).toHaveProperty('version')
  })

  test('lists requests by path and method, and forgets them', async () => {
    await kes.control('DELETE', '/requests')
    await kes.client.version()
    await kes.client.status()
    const { body: all } = await kes.control('GET', '/requests')
    const { body: some } = await kes.control('GET', '/requests?path=/v1/*&method=GET&method=PUT')

    expect(all).toMatchObject([{ path: '/version' }, { path: '/v1/status', status: 200, fault: null }])
    expect(some).toMatchObject([{ path: '/v1/status' }])
    expect(await kes.control('DELETE', '/requests')).toEqual({ status: 200, body: {} })
    expect(await kes.control('GET', '/requests')).toEqual({ status: 200, body: [] })
  })

  test('rotates the certificate, and resets everything', async () => {
    expect(await kes.control('POST', '/certificate/rotate')).toEqual({ status: 200, body: {} })
    await kes.control('POST', '/faults', { kind: 'hang' })
    expect(await kes.control('POST', '/reset')).toEqual({ status: 200, body: {} })
    expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['invoices', 'orders'])
  })

  test.each([
    ['the body is not JSON', 400, 'POST', '/faults', '{'],
    [
      'latency: `ms` is a number from 0 up to 3600000, not nothing',
      400,
      'POST',
      '/faults',
      { kind: 'latency' },
    ],
    ['a body has up to 1000000 bytes', 413, 'POST', '/faults', 'x'.repeat(1_000_001)],
    ['requests are asked for by path and method, not paths', 400, 'GET', '/requests?paths=/v1/*', undefined],
    [
      "key name 'a b' is empty, too long or contains invalid characters",
      400,
      'PUT',
      '/keys/a%20b',
      undefined,
    ],
    ["'%ff' is not escaped as URLs are", 400, 'PUT', '/keys/%ff', undefined],
    ['/keys/orders/lock takes POST', 405, 'GET', '/keys/orders/lock', undefined],
    ['there is nothing at /nothing', 404, 'GET', '/nothing', undefined],
  ])('refuses, and says why: %s', async (message, status, method, path, body) => {
    expect(await kes.control(method, path, body)).toEqual({ status, body: { message } })
  })

  test.each([undefined, 'Bearer ', 'Bearer x', 'Basic x'])(
    'is refused with %j in place of the token',
    async (authorization) => {
      const headers = authorization === undefined ? undefined : { authorization }
      const reply = await fetch(`${kes.description.control_url}/faults`, headers && { headers })

      expect(reply.status).toBe(401)
    },
  )

  test('answers more than one program at once', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, n) => kes.control('PUT', `/keys/many-${n}`)),
    )
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200))
  })
})

describe('the process', () => {
  test.each([
    ['its standard input', (child: ChildProcess) => child.stdin?.end(), 0, null],
    ['SIGTERM', (child: ChildProcess) => child.kill('SIGTERM'), 0, null],
    ['SIGINT', (child: ChildProcess) => child.kill('SIGINT'), 0, null],
    ['SIGHUP', (child: ChildProcess) => child.kill('SIGHUP'), 0, null],
  ])('ends with %s, and takes its files along', async (_, end, code, signal) => {
    await using kes = await startSandbox()
    expect(existsSync(kes.description.ca_path)).toBe(true)
    const exited = once(kes.child, 'exit')
    end(kes.child)

    expect(await exited).toEqual([code, signal])
    expect(existsSync(dirname(kes.description.ca_path))).toBe(false)
  })

  test('ends with the process that started it, even where its input stays open', async () => {
    const starter = `
      const { spawn } = require('node:child_process')
      spawn(process.execPath, [${JSON.stringify(MAIN)}, 'sandbox', '--json'], { stdio: 'inherit' })
    `
    const parent = spawn(process.execPath, ['--eval', starter], { stdio: ['pipe', 'pipe', 'inherit'] })
    const { ca_path: caPath, control_url: controlUrl } = await firstLine(parent)
    parent.kill('SIGKILL')

    while (existsSync(dirname(caPath))) await sleep(20)
    await expect(fetch(controlUrl)).rejects.toThrow()
    parent.stdin?.end()
  })

  test('without --json prints what to type in another terminal', async () => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'sandbox', '--key', 'orders'])

    expect(stdout).toMatch(/^A key server for tests, at https:\/\/127\.0\.0\.1:\d+\./)
    expect(stdout).toMatch(/^ {4}export KES_API_KEY=kes:v1:\S+$/m)
    expect(stdout).toMatch(/^ {4}export MINIO_KMS_KES_KEY_NAME=orders$/m)
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: '\n=> its standard input has ended: the sandbox ends.\n',
    })
  })

  test.each([
    [
      ['--port', 'x'],
      `invalid argument "x" for "--port" flag: it is a number up to 65535. See 'kes sandbox --help'`,
    ],
    [
      ['--seed', '-1'],
      `invalid argument "-1" for "--seed" flag: it is a number up to 2147483647. See 'kes sandbox --help'`,
    ],
    [['--key', 'a b'], "key name 'a b' is empty, too long or contains invalid characters"],
    [['orders'], "too many arguments. See 'kes sandbox --help'"],
  ])('does not start with %j, and says why', async (args, message) => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'sandbox', '--json', ...args])

    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
  })

  test('does not start on a port that is taken, and says what to do', async () => {
    await using kes = await startSandbox()
    const { port } = new URL(kes.description.endpoint)
    const { code, stderr } = await run(process.execPath, [MAIN, 'sandbox', '--port', port])

    expect(code).toBe(1)
    expect(stderr).toBe(
      `Error: listen tcp 127.0.0.1:${port}: bind: address already in use\nHint: another server listens there; choose another address with --port\n`,
    )
  })
})
