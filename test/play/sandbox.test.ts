/** `npm start` as a newcomer has it: an empty folder, the printed commands, a restart. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

let folder: string
const running: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-start-'))
})

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

async function start(...options: string[]): Promise<{ child: ChildProcess; text: string }> {
  const child = spawn(process.execPath, ['scripts/start.ts', '--data', join(folder, 'data'), ...options], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  let text = ''
  child.stderr.on('data', (chunk) => {
    text += chunk
  })
  await new Promise<void>((done) => {
    child.once('exit', () => done())
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('Ctrl-C stops the server')) done()
    })
  })
  return { child, text }
}

async function stop(child: ChildProcess): Promise<number | null> {
  const ended = new Promise<number | null>((done) => child.once('exit', done))
  child.kill('SIGINT')
  return await ended
}

/** Runs the shell lines that were printed, with the commands of this checkout in place of `npx kes`. */
async function typed(text: string, commands: readonly string[]) {
  const exports = text.split('\n').filter((line) => /^ {4}export /.test(line))
  const script = [...exports, ...commands].join('\n').replaceAll('npx kes', 'kes')
  const PATH = `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`
  return await run('sh', ['-c', script], { cwd: ROOT, env: { PATH, HOME: folder } }).catch((error) => error)
}

test('every line that is printed works as printed, the key is shown once, and a restart finds everything', async () => {
  const first = await start()
  const printed = first.text.split('\n').filter((line) => line.startsWith('    npx kes '))
  expect(printed).toHaveLength(4)
  expect(first.text).toMatch(/KES_API_KEY=kes:v1:/)
  const [create = '', dek = '', disable = '', enable = ''] = printed

  expect(await typed(first.text, [create, dek])).toMatchObject({
    stdout: expect.stringContaining('"plaintext"'),
  })
  expect(await typed(first.text, [disable, dek])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is disabled'),
  })
  expect(await stop(first.child)).toBe(0)

  const second = await start()
  expect(second.text).not.toMatch(/kes:v1:/)
  expect(await typed(second.text, [dek])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is disabled'),
  })
  expect(await typed(second.text, [enable, dek])).toMatchObject({
    stdout: expect.stringContaining('"plaintext"'),
  })

  const third = await start()
  expect(third.text).toContain(`pid ${second.child.pid}`)
  expect(third.child.exitCode ?? (await new Promise((done) => third.child.once('exit', done)))).toBe(1)
  expect(await readFile(join(folder, 'data/kes.yml'), 'utf8')).toContain(
    new URL(endpointOf(second.text)).host,
  )
  expect(await stop(second.child)).toBe(0)
}, 60_000)

test('what must be secret is for its owner alone', async () => {
  for (const name of ['admin.api-key', 'root.key', 'kes.db', 'kes.yml']) {
    expect([name, (await stat(join(folder, 'data', name))).mode & 0o077]).toEqual([name, 0])
  }
  expect((await stat(join(folder, 'data'))).mode & 0o077).toBe(0)
})

test('a port that is taken is said plainly', async () => {
  const first = await start()
  const { child, text } = await start('--data', join(folder, 'other'))
  expect(text).toMatch(/Port 7373 is taken, so this server listens on \d+\./)
  expect(endpointOf(text)).not.toBe(endpointOf(first.text))
  await stop(child)
  await stop(first.child)
}, 60_000)

function endpointOf(text: string): string {
  return /Endpoint +(\S+)/.exec(text)?.[1] ?? ''
}
