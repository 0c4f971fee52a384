/**
 * A newcomer's path: a clone in an empty folder, and every command of the README as it is written there. Only ports are
 * replaced, because other tests have servers, too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { peerTest, type Run, run } from '../peers/peer.ts'
import { ROOT } from './start-process.ts'

const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const INSTALL_MAX_MS = 300_000
const PATH_MAX_MS = 600_000

interface Block {
  readonly language: string
  readonly text: string
}

/** In the order of the README. */
const blocks: readonly Block[] = [...README.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(
  ([, language = '', text = '']) => ({ language, text }),
)

/** The block that has this text. */
function blockWith(text: string): string {
  const found = blocks.filter((block) => block.text.includes(text))
  expect(found, `blocks of the README with '${text}'`).toHaveLength(1)
  return found[0]?.text ?? ''
}

/** A text of each block that a reader types, by which it is found below. */
const TYPED = {
  clone: 'git clone',
  firstLock: '. data/sandbox/env',
  minio: 'MINIO_KMS_KES_KEY_NAME=minio-default',
  server: 'cat > data/own/kes.yml',
  application: 'npx kes key rm my-app-1',
  doctor: 'npx kes doctor --key',
  dev: 'npx kes server --dev',
  client: 'await client.createKey',
  fixture: 'kesTest(',
  node: 'npx latchkey-node server',
} as const

test('every block of the README that can be typed is typed here', () => {
  const typed = Object.values(TYPED).map(blockWith)
  const all = blocks.filter(({ language }) => language !== '').map(({ text }) => text)
  expect(typed.toSorted()).toEqual(all.toSorted())
})

/** The folder in which the newcomer begins. */
let folder: string
let clone: string
const running: ChildProcess[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-newcomer-'))
  clone = join(folder, 'latchkey')
})
afterAll(async () => {
  for (const child of running) await end(child)
  rmSync(folder, { recursive: true, force: true })
})

peerTest(
  ['aws', 'openssl'],
  'a newcomer gets from a clone to a locked object, and on through the README',
  async () => {
    const clock = new Clock()
    const [cloneLine = '', , demoLine = '', startLine = ''] = blockWith(TYPED.clone).trimEnd().split('\n')
    expect(demoLine).toBe('npm run demo')
    await succeed(cloneLine.replace('<this repository>', ROOT), { cwd: folder })
    await copyUncommitted()
    clock.lap('clone')
    await succeed('npm run setup', { timeoutMs: INSTALL_MAX_MS })
    clock.lap('installation')
    expect((await succeed(demoLine)).stdout).toContain('all hold')
    clock.lap('demo')

    const sandbox = await startOnTerminal(startLine, 'Ctrl-C stops it.')
    clock.lap('sandbox')
    const environment = readFileSync(join(clone, 'data/sandbox/env'), 'utf8')
    const [keyServer = ''] = /https:\/\/127\.0\.0\.1:\d+/.exec(environment) ?? []
    const withPorts = await portReplacer(keyServer)

    const commands = await typeEach(blockWith(TYPED.firstLock))
    clock.lap('first lock')
    const refused = commands.filter(({ code }) => code !== 0)
    expect(refused.map(({ command }) => command)).toEqual(['aws s3 cp s3://demo/mine.md -'])
    const promised = blocks.find(({ text }) => text.startsWith('An error occurred'))?.text ?? ''
    expect(refused[0]?.output).toContain(promised.replaceAll('\n', ' ').trim())
    for (const { command, output } of commands
      .slice(-4)
      .filter(({ command, code }) => /s3 cp/.test(command) && code === 0)) {
      expect(output, command).toContain(README)
    }
    console.log(`A newcomer's path, from the clone to the first locked object: ${clock.shown()}`)

    const minio = `${withPorts(blockWith(TYPED.minio))}printenv | grep ^MINIO_KMS | wc -l`
    expect((await succeed(minio)).stdout.trim()).toBe('4')

    writeFileSync(join(clone, 'example.ts'), withPorts(blockWith(TYPED.client)))
    expect((await succeed('npx node example.ts')).stdout).toBe('true\n403 KeyDisabled\n')

    writeFileSync(join(clone, 'test/readme.test.ts'), blockWith(TYPED.fixture))
    expect((await succeed('npx vitest run test/readme.test.ts')).stdout).toMatch(/1 passed/)

    const node = await startOnTerminal(withPorts(blockWith(TYPED.node)), "key 'node-default'")
    await end(node)
    await end(sandbox)

    const server = await startOnTerminal(withPorts(blockWith(TYPED.server)), 'Server is up and running')
    const [askAsClient = '', askOnServer = ''] = blockWith(TYPED.doctor).trimEnd().split('\n')
    const application = `${withPorts(blockWith(TYPED.application)).trimEnd()}\n${askAsClient}`
    const asApplication = await typeEach(application)
    expect(asApplication.filter(({ code }) => code !== 0).map(({ command }) => command)).toEqual([
      'npx kes key rm my-app-1',
    ])
    await end(server)
    const { stdout } = await succeed(askOnServer)
    expect(stdout).toContain('data/own')

    const dev = await startOnTerminal(
      `${blockWith(TYPED.dev).trimEnd()} --addr 127.0.0.1:0`,
      'Server is up and running',
    )
    await end(dev)
  },
  PATH_MAX_MS,
)

/** The machine's own, without the programs and the variables of the test run. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:VITEST|NODE_ENV|NODE_OPTIONS|KES_|MINIO_|AWS_|LATCHKEY_)/.test(name),
  )
  const path = process.env.PATH?.split(':').filter((part) => !part.includes('node_modules'))
  return { ...Object.fromEntries(inherited), PATH: path?.join(':'), NO_COLOR: '1', TERM: 'xterm' }
}

/** Runs lines of a shell. @throws if the last one fails. */
async function succeed(script: string, { cwd = clone, timeoutMs = 120_000 } = {}): Promise<Run> {
  const ran = await run('sh', ['-c', script], { cwd, env: environment(), timeoutMs })
  if (ran.code !== 0) throw new Error(`${script} ended with ${ran.code}: ${ran.stdout}${ran.stderr}`)
  return ran
}

interface Typed {
  readonly command: string
  readonly output: string
  readonly code: number
}

/** Types the lines of a block into one shell. */
async function typeEach(block: string): Promise<Typed[]> {
  const lines = block.split('\n').filter((line) => line !== '')
  const script = lines.map((line) => `${line}\nprintf '@@%d@@' $?`).join('\n')
  const { stdout } = await succeed(`exec 2>&1\n${script}`)
  const outputs = stdout.split(/@@(\d+)@@/)
  return lines.map((line, index) => ({
    command: line.replace(/ +#.*/, ''),
    output: outputs[2 * index] ?? '',
    code: Number(outputs[2 * index + 1]),
  }))
}

/** Types lines into a terminal of its own, whose last one goes on. @returns once it has printed `ready`. */
async function startOnTerminal(script: string, ready: string): Promise<ChildProcess> {
  const file = join(folder, `typed-${running.length}.sh`)
  writeFileSync(file, script)
  const child = spawn('/usr/bin/script', ['-qefc', `sh '${file}'`, '/dev/null'], {
    cwd: clone,
    env: { ...environment(), SHELL: '/bin/sh' },
    stdio: 'pipe',
  })
  running.push(child)
  let shown = ''
  child.stdout.on('data', (chunk) => {
    shown += chunk
  })
  await vi.waitUntil(() => shown.includes(ready) || child.exitCode !== null, {
    timeout: 60_000,
    interval: 20,
  })
  expect(shown).toContain(ready)
  return child
}

/** Ctrl-C. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.stdin?.write('\u0003')
  await closed
}

/** The README's ports become those of this run. */
async function portReplacer(keyServer: string): Promise<(text: string) => string> {
  const ports = [await freePort(), await freePort()]
  return (text) =>
    text
      .replaceAll('https://127.0.0.1:7373', keyServer)
      .replaceAll('127.0.0.1:7374', `127.0.0.1:${ports[0]}`)
      .replaceAll('127.0.0.1:9010', `127.0.0.1:${ports[1]}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** A clone has what is committed; what is not yet is tested, too. */
async function copyUncommitted(): Promise<void> {
  const list = async (...args: string[]) => {
    const { stdout } = await run('git', [...args, '-z'], { cwd: ROOT })
    return stdout.split('\0').filter((name) => name !== '')
  }
  const changed = await list('diff', '--name-only', '--no-renames', 'HEAD')
  const added = await list('ls-files', '--others', '--exclude-standard')
  for (const name of [...changed, ...added]) {
    const [from, to] = [join(ROOT, name), join(clone, name)]
    rmSync(to, { force: true })
    if (existsSync(from)) cpSync(from, to)
  }
}

/** Seconds of each part, from the beginning on. */
class Clock {
  readonly #beganMs = performance.now()
  readonly #parts: string[] = []
  #lastMs = this.#beganMs

  lap(part: string): void {
    const nowMs = performance.now()
    this.#parts.push(`${part} ${seconds(nowMs - this.#lastMs)}`)
    this.#lastMs = nowMs
  }

  shown(): string {
    return `${seconds(this.#lastMs - this.#beganMs)} (${this.#parts.join(', ')})`
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
