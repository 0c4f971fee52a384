/** The life of a server's process: its start, the signals that end it, and those that don't. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { ApiKey } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { peerTest } from '../peers/peer.ts'
import { PROTOCOLS } from '../sandbox/connection.ts'
import {
  END_HEADERS,
  END_STREAM,
  FrameType,
  frame,
  headerBlock,
  request,
  requestFields,
} from './http2-frames.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { freePort, isAlive, SERVER_PROGRAM, type ServerProcess, sleep } from './server-process.ts'

const GOODBYE = '\n=> Stopping server... Goodbye.\n'
const GENERATE = '/v1/key/generate/my-key'

let installation: Installation

beforeEach(async () => {
  installation = await Installation.make({ keys: ['my-key'] })
})

afterEach(() => installation[Symbol.dispose]())

/** A request over each version of HTTP whose body has begun and not ended. */
async function openRequests(server: ServerProcess) {
  const http1 = await RawConnection.open(server, 'http/1.1')
  const http2 = await RawConnection.open(server, 'h2')
  await http1.write(`POST ${GENERATE} HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\n\r\n{`)
  const headers = frame(FrameType.headers, END_HEADERS, 1, headerBlock(requestFields('POST', GENERATE)))
  await http2.write(Buffer.concat([headers, frame(FrameType.data, 0, 1, Buffer.from('{'))]))
  const active = async () => {
    const { rawBody } = await server.request('GET', '/v1/metrics')
    return Number(/^kes_http_request_active (\d+)/m.exec(rawBody.toString())?.[1])
  }
  await expect.poll(active).toBe(2)
  return {
    http1,
    http2,
    /** @param behind - sent over HTTP/1.1 right after the body. */
    async finish(behind: string) {
      await http1.write(`}${behind}`)
      await http2.write(frame(FrameType.data, END_STREAM, 1, Buffer.from('}')))
    },
  }
}

describe('the start', () => {
  test("prints KES's banner, with its values from column 35, and serves", async () => {
    await using server = await installation.start()
    const lines = server.stdout.split('\n')
    const labels = ['Version', 'Runtime', 'License', 'Copyright']
    expect(lines.slice(0, 4).map((line) => /^(\w+) +(?=\S)/.exec(line)?.[0])).toEqual(
      labels.map((label) => label.padEnd(34)),
    )
    expect(lines.slice(4)).toEqual([
      '',
      `KMS                               SQLite: ${installation.storeFile}`,
      `API                               · https://127.0.0.1:${server.port}`,
      '',
      `Admin                             ${installation.admin.identity}`,
      'Logs                              error=stderr level=INFO',
      '            audit=stdout level=INFO',
      '',
      '=> Server is up and running...',
      '',
      '',
    ])
    for (const protocol of PROTOCOLS) {
      expect((await server.request('PUT', GENERATE, { protocol })).status).toBe(200)
    }
  })

  test('--addr wins over the address of the config', async () => {
    installation.editConfig('127.0.0.1:0', '192.0.2.1:7373')
    await using server = await installation.start([
      '--config',
      installation.configFile,
      '--addr',
      '127.0.0.1:0',
    ])
    expect((await server.request('GET', '/version')).status).toBe(200)
  })

  test("options of KES's early releases are accepted, and said to be without effect", async () => {
    const old = ['--key', '/no.key', '--cert', '/no.crt', '--auth', 'off']
    await using server = await installation.start(['--config', installation.configFile, ...old])
    for (const flag of ['--key', '--cert', '--auth']) {
      expect(server.stderr).toContain(`WARNING: '${flag}' flag is deprecated and no longer honored.`)
    }
  })

  test('what the config file has in vain is a warning, and with --strict an error', async () => {
    installation.editConfig('"version": "v1",', '"version": "v1", "nonsense": 1,')
    const refused = await installation.run(['--config', installation.configFile, '--strict'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^Error: unknown field 'nonsense' is ignored\n/)
    await using server = await installation.start()
    expect(server.stderr).toContain("warning: unknown field 'nonsense' is ignored")
  })

  test('--dev makes a new API key at each start and forgets its keys', async () => {
    const apiKeys: string[] = []
    for (let start = 0; start < 2; start += 1) {
      await using server = await installation.start(['--dev', '--addr', '127.0.0.1:0'])
      const [, apiKey = ''] = /^API Key {27}(kes:v1:\S+)$/m.exec(server.stdout) ?? []
      const [, admin] = /^Admin {29}(\S+)$/m.exec(server.stdout) ?? []
      expect(ApiKey.parse(apiKey).identity).toBe(admin)
      apiKeys.push(apiKey)
      expect(await server.stop()).toEqual({ code: 0, signal: null })
    }
    expect(new Set(apiKeys).size).toBe(2)
  })
})

describe.each(['SIGTERM', 'SIGINT'] as const)('at %s', (signal) => {
  test('running requests end, new ones are refused, and the store is closed', async () => {
    await using server = await installation.start()
    const { http1, http2, finish } = await openRequests(server)
    server.kill(signal)
    await http2.until(() => http2.frames.some(({ type }) => type === FrameType.goAway))
    await expect(server.connect()).rejects.toThrow('ECONNREFUSED')
    await http2.write(request(3, requestFields('GET', '/version')))
    await finish('GET /version HTTP/1.1\r\nHost: kes\r\n\r\n')

    expect(await server.ended).toEqual({ code: 0, signal: null })
    expect(http1.text).toMatch(/"plaintext":"[^"]{44}"/)
    expect(http1.statuses.slice(1)).toEqual([503])
    expect(http1.text).toContain('"code":"ShuttingDown"')
    expect(http2.bodyOf(1)).toMatch(/^\{"plaintext":"[^"]{44}"/)
    expect(http2.bodyOf(3)).toBe('')
    expect(server.stdout.endsWith(GOODBYE)).toBe(true)
    expect(existsSync(`${installation.storeFile}-wal`)).toBe(false)
    expect(
      server.auditLog().filter(({ req, res }) => req.path === GENERATE && res.code === 200),
    ).toHaveLength(2)
  })

  test('a second signal ends the process at once, unless it is the same Ctrl-C twice', async () => {
    await using server = await installation.start()
    await openRequests(server)
    server.kill(signal)
    await sleep(100)
    server.kill(signal)
    await sleep(600)
    expect(server.isRunning).toBe(true)
    const startedMs = performance.now()
    server.kill(signal)
    expect(await server.ended).toEqual({ code: 1, signal: null })
    expect(performance.now() - startedMs).toBeLessThan(1_000)
  })
})

test('connections that never finish their handshake, or have no request, do not hold up the end', async () => {
  await using server = await installation.start()
  const silent = await server.connectTcp()
  const begun = await server.connectTcp()
  begun.write(Buffer.from('16030100', 'hex'))
  const idle = [
    await server.connect({ ALPNProtocols: ['h2'] }),
    await server.connect({ ALPNProtocols: ['http/1.1'] }),
  ]
  await server.request('GET', '/version')
  const startedMs = performance.now()
  server.kill('SIGTERM')
  expect(await server.ended).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedMs).toBeLessThan(2_000)
  for (const socket of [silent, begun, ...idle]) socket.destroy()
})

test('an open log stream does not hold up the end', async () => {
  await using server = await installation.start()
  const http1 = await RawConnection.open(server, 'http/1.1')
  const http2 = await RawConnection.open(server, 'h2')
  await http1.write('GET /v1/log/audit HTTP/1.1\r\nHost: kes\r\n\r\n')
  await http2.write(request(1, requestFields('GET', '/v1/log/error')))
  await http1.until(() => http1.statuses.length > 0)
  const startedMs = performance.now()
  server.kill('SIGTERM')
  expect(await server.ended).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedMs).toBeLessThan(2_000)
})

test('SIGHUP and SIGUSR1 end no server that has no terminal, and open no debugger', async () => {
  await using server = await installation.start()
  server.kill('SIGHUP')
  server.kill('SIGUSR1')
  await expect.poll(() => server.stderr).toContain('SIGHUP signal received')
  expect((await server.request('PUT', GENERATE)).status).toBe(200)
  expect(server.stderr).not.toContain('Debugger')
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

peerTest('script', 'on a terminal, SIGHUP reloads until the terminal has gone, and then stops', async () => {
  const command = [
    process.execPath,
    SERVER_PROGRAM,
    'server',
    '--config',
    installation.configFile,
    '--workers',
    '1',
  ]
  const terminal = spawn('script', ['-qfec', command.join(' '), '/dev/null'], { stdio: 'pipe' })
  const ended = once(terminal, 'exit')
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  await expect.poll(() => shown, { timeout: 20_000 }).toContain('Server is up and running')
  const [pid = 0] = serversBelow(terminal.pid)
  process.kill(pid, 'SIGHUP')
  await expect.poll(() => shown, { timeout: 20_000 }).toContain('after SIGHUP signal completed')
  expect(serversBelow(terminal.pid)).toEqual([pid])
  terminal.kill('SIGKILL')
  await ended
  await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
  // It has stopped, and not just ended: the last one to close the store takes its log away.
  expect(existsSync(`${installation.storeFile}-wal`)).toBe(false)
})

/** The processes of the server's program that descend from this one. */
function serversBelow(pid = 0): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return children.map(Number).flatMap((child) => {
    const isServer = readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith(process.execPath)
    return isServer ? [child] : serversBelow(child)
  })
}

describe('where the standard output can not be written', () => {
  /** Takes no byte, as a full disk. */
  const full = () => openSync('/dev/full', 'w')

  test('a server goes on, and reloads', async () => {
    const port = await freePort()
    const child = spawn(
      process.execPath,
      [SERVER_PROGRAM, 'server', '--config', installation.configFile, '--addr', `127.0.0.1:${port}`],
      { stdio: ['ignore', full(), 'pipe'] },
    )
    const ended = once(child, 'exit')
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    await expect.poll(() => canConnect(port), { timeout: 20_000 }).toBe(true)
    for (let reloads = 1; reloads <= 2; reloads += 1) {
      child.kill('SIGHUP')
      const received = () => stderr.split('SIGHUP signal received').length - 1
      await expect.poll(received, { timeout: 20_000 }).toBe(reloads)
      await sleep(500)
    }
    expect(await canConnect(port)).toBe(true)
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(stderr).not.toContain('ENOSPC')
  })

  test('a command says so, and fails', () => {
    const { status, stderr } = spawnSync(process.execPath, [SERVER_PROGRAM, 'identity', 'new'], {
      stdio: ['ignore', full(), 'pipe'],
      encoding: 'utf8',
    })
    expect(stderr).toMatch(/^Error: the standard output can not be written: ENOSPC[^\n]+\n$/)
    expect(status).toBe(1)
  })
})

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

test('a reader of the output that goes away does not end the server', async () => {
  await using server = await installation.start()
  server.closeOutput()
  for (let count = 0; count < 50; count += 1) {
    expect((await server.request('GET', '/v1/key/describe/no-key')).status).toBe(404)
  }
  await sleep(300)
  expect((await server.request('PUT', GENERATE)).status).toBe(200)
  server.kill('SIGTERM')
  expect(await server.ended).toEqual({ code: 0, signal: null })
})

test('after SIGKILL in the midst of creates, every key that was acknowledged is there', async () => {
  const acknowledged: string[] = []
  {
    await using server = await installation.start()
    const create = async (creator: number) => {
      for (let count = 0; ; count += 1) {
        const name = `key-${creator}-${count}`
        const { status } = await server.request('PUT', `/v1/key/create/${name}`)
        expect(status).toBe(200)
        acknowledged.push(name)
        if (acknowledged.length >= 150) server.kill('SIGKILL')
      }
    }
    const creators = Array.from({ length: 8 }, (_, creator) => create(creator).catch(() => undefined))
    expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' })
    server.closeConnections()
    await Promise.all(creators)
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(150)
  await using server = await installation.start()
  const { rawBody } = await server.request('GET', '/v1/key/list/key-*')
  expect(JSON.parse(rawBody.toString()).names).toEqual(expect.arrayContaining(acknowledged))
  for (const name of acknowledged.slice(-20)) {
    expect((await server.request('PUT', `/v1/key/generate/${name}`)).status).toBe(200)
  }
})

test('a second server on the same store is refused, and told the pid of the first', async () => {
  await using server = await installation.start()
  const second = await installation.run()
  expect([second.code, second.stdout]).toEqual([1, ''])
  expect(second.stderr).toMatch(
    /^Error: the store '[^']+' is in use by another server \(pid \d+ on host '[^']+'\)/,
  )
  expect(second.stderr).toContain(`(pid ${server.pid} `)
  expect((await server.request('PUT', '/v1/key/create/later')).status).toBe(200)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  await using next = await installation.start()
  expect((await next.request('PUT', '/v1/key/generate/later')).status).toBe(200)
})

test('a port in use is said in the words of KES', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { code, stdout, stderr } = await installation.run([
    '--config',
    installation.configFile,
    '--addr',
    `127.0.0.1:${port}`,
  ])
  other.close()
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toContain(`Error: listen tcp 127.0.0.1:${port}: bind: address already in use\n`)
})

test('files of the store are for their owner alone', async () => {
  await using server = await installation.start()
  await server.request('PUT', '/v1/key/create/one')
  await expect.poll(() => installation.modes('data')['keys.db.reserve']).toBe(0o600)
  const modes = installation.modes('data')
  expect(Object.keys(modes).sort()).toEqual([
    'keys.db',
    'keys.db-shm',
    'keys.db-wal',
    'keys.db.journal.pub',
    'keys.db.lock',
    'keys.db.reserve',
  ])
  expect(new Set(Object.values(modes))).toEqual(new Set([0o600]))
})

test('a server writes no core and nothing secret to its store in the clear', async () => {
  await using server = await installation.start()
  const limits = readFileSync(`/proc/${server.pid}/limits`, 'utf8')
  expect(limits).toMatch(/^Max core file size +[01] +[01] /m)
  const secret = Buffer.from('0123456789abcdef0123456789abcdef')
  const body = { key: secret.toString('base64'), cipher: 'AES256' }
  expect((await server.request('PUT', '/v1/key/import/imported', { body })).status).toBe(200)
  await server.stop()
  expect(readFileSync(installation.storeFile).includes(secret)).toBe(false)
})
