/** An erase that a kill interrupts, and one for which the disk has no space. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { requireOfServer, type ServerProcess, sleep } from './server-process.ts'

let installation: Installation
let reader: ChildProcess | undefined

beforeEach(async () => {
  installation = await Installation.make({ keys: ['gone', 'kept'] })
})

afterEach(async () => {
  await stopReading()
  installation[Symbol.dispose]()
})

async function startReading({ storeFile } = installation): Promise<void> {
  const sqlite = requireOfServer.resolve('better-sqlite3')
  const program = `const db = new (require(${JSON.stringify(sqlite)}))(${JSON.stringify(storeFile)})
    db.exec('BEGIN'); db.prepare('SELECT count(*) FROM keys').get(); console.log('reading'); setInterval(() => {}, 1e6)`
  reader = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (reader.stdout !== null) await once(reader.stdout, 'data')
}

async function stopReading(): Promise<void> {
  if (reader === undefined) return
  reader.kill('SIGKILL')
  await once(reader, 'exit')
  reader = undefined
}

/** The sealed record of a key, as another process reads it. */
function sealedOf(name: string): Buffer {
  const sqlite = requireOfServer.resolve('better-sqlite3')
  const program = `const db = new (require(${JSON.stringify(sqlite)}))(${JSON.stringify(installation.storeFile)})
    console.log(db.prepare('SELECT sealed FROM keys WHERE name = ?').get(${JSON.stringify(name)}).sealed.toString('hex'))`
  return Buffer.from(execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' }).trim(), 'hex')
}

/** Whether a file of the store holds the record, its nonce or its tag. */
function isOnDisk(sealed: Buffer): boolean {
  const folder = dirname(installation.storeFile)
  return readdirSync(folder)
    .map((file) => readFileSync(join(folder, file)))
    .some((bytes) =>
      [sealed, sealed.subarray(1, 13), sealed.subarray(-16)].some((part) => bytes.includes(part)),
    )
}

const erase = (server: ServerProcess) => server.request('DELETE', '/v1/key/delete/gone')
const use = async (server: ServerProcess, name: string) =>
  (await server.request('PUT', `/v1/key/generate/${name}`)).status

test('a server that was killed while an erase was pending goes on with it at its next start', async () => {
  const first = await installation.start()
  const sealed = sealedOf('gone')
  await startReading()
  const answered = erase(first).catch(() => undefined)
  await expect.poll(() => use(first, 'gone')).toBe(404)
  first.kill('SIGKILL')
  await first.ended
  await answered
  expect(isOnDisk(sealed)).toBe(true)

  await using second = await installation.start()
  expect([await use(second, 'gone'), await use(second, 'kept')]).toEqual([404, 200])
  const refused = await erase(second)
  expect([refused.status, refused.rawBody.toString()]).toEqual([
    503,
    expect.stringContaining('"ErasePending"'),
  ])
  await stopReading()
  expect((await erase(second)).status).toBe(200)
  expect(isOnDisk(sealed)).toBe(false)
  expect((await erase(second)).status).toBe(404)
  expect(await use(second, 'kept')).toBe(200)
})

test.each(PROTOCOLS)(
  'over %s an erase that outlasts the time of its API is answered by nothing, and audited as what it was',
  async (protocol) => {
    const timeouts = { '/v1/key/delete/': '1s' }
    const hurried = await Installation.make({ keys: ['gone'], timeouts, workers: 2 })
    onTestFinished(() => hurried[Symbol.dispose]())
    await using server = await hurried.start()
    await startReading(hurried)
    await expect(server.request('DELETE', '/v1/key/delete/gone', { protocol })).rejects.toThrow()
    expect((await server.request('GET', '/v1/key/describe/gone')).status).toBe(404)
    await stopReading()
    const events = () =>
      server.stdout.split('\n').filter((line) => line.includes('/v1/key/delete/gone') && line.startsWith('{'))
    await expect.poll(() => events().length, { timeout: 20_000 }).toBe(1)
    expect(JSON.parse(events()[0] ?? '')).toMatchObject({ res: { code: expect.toBeOneOf([200, 503]) } })
  },
)

test('a request behind an erase over HTTP/1.1 has its time from its own turn on', async () => {
  const patient = await Installation.make({ keys: ['gone'], timeouts: { '/v1/key/describe/': '1s' } })
  onTestFinished(() => patient[Symbol.dispose]())
  await using server = await patient.start()
  await startReading(patient)
  const connection = await RawConnection.open(server, 'http/1.1')
  const request = (line: string) => `${line} HTTP/1.1\r\nHost: kes\r\n\r\n`
  await connection.write(request('DELETE /v1/key/delete/gone') + request('GET /v1/key/describe/gone'))
  await sleep(3_000)
  expect(connection.statuses).toEqual([])
  await stopReading()
  await expect.poll(() => connection.statuses, { timeout: 10_000 }).toEqual([200, 404])
  connection.close()
})

test('a start removes by itself what a killed server left, and the one who asks later is told', async () => {
  const first = await installation.start()
  const sealed = sealedOf('gone')
  await startReading()
  const answered = erase(first).catch(() => undefined)
  await expect.poll(() => use(first, 'gone')).toBe(404)
  first.kill('SIGKILL')
  await first.ended
  await answered
  await stopReading()

  await using second = await installation.start()
  await expect.poll(() => isOnDisk(sealed)).toBe(false)
  expect((await erase(second)).status).toBe(200)
  expect((await erase(second)).status).toBe(404)
})
