/**
 * The container, without the program that would build one: its file's steps on the packages as they are published, and the
 * server as it runs there: as a user without rights, on a file system that is read-only but for its volume.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { linkDependencies } from '../../scripts/published-project.ts'
import { type Run, run } from '../peers/peer.ts'
import { serverOf } from '../sandbox/certificates.ts'
import { freePort } from './server-process.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const FILE = readFileSync(join(ROOT, 'deploy/Containerfile'), 'utf8')
const PACKAGES = ['kms-client', 'console', 'kes-server']

let folder: string
/** As `/opt/latchkey` of the container. */
let installed: string
let port: number
let consolePort: number

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-container-'))
  chmodSync(folder, 0o755)
  port = await freePort()
  consolePort = await freePort()
  const tarballs = join(folder, 'packages')
  const { code, stderr } = await run(process.execPath, ['scripts/tarballs.ts', tarballs], {
    cwd: ROOT,
    env: process.env,
    timeoutMs: 110_000,
  })
  expect(code, stderr).toBe(0)
  installed = join(folder, 'opt')
  for (const name of PACKAGES) {
    const target = join(installed, 'node_modules/@latchkey', name)
    mkdirSync(target, { recursive: true })
    const [tarball, ...others] = readdirSync(tarballs).filter((each) => each.includes(name))
    expect(others).toEqual([])
    const args = ['-xzf', join(tarballs, tarball ?? ''), '--strip-components=1', '-C', target]
    expect(spawnSync('tar', args).status).toBe(0)
    linkDependencies(installed, name)
  }
  mkdirSync(join(installed, 'node_modules/.bin'))
  symlinkSync('../@latchkey/kes-server/dist/main.js', join(installed, 'node_modules/.bin/kes')) // As npm does.
  const [install, fill, ...more] = linesOf('RUN', 1)
  expect(install).toContain('npm install --prefix /opt/latchkey')
  expect(more).toEqual([])
  if (!(await isConfinable())) return
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter)
  const filled = await run('sh', ['-c', (fill ?? '').replaceAll('/opt/latchkey', installed)], {
    env: { PATH },
  })
  expect(filled.code, filled.stderr).toBe(0)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true }))

/** The lines of the file with this instruction, in a stage of it. */
function linesOf(instruction: string, stage: 1 | 2): string[] {
  const stages = FILE.replaceAll('\\\n', ' ').split(/^FROM /m)
  const lines = (stages[stage] ?? '').split('\n').filter((line) => line.startsWith(`${instruction} `))
  return lines.map((line) => line.slice(instruction.length + 1))
}

describe('the file', () => {
  test('runs the server as a user without a name and without rights', () => {
    expect(linesOf('USER', 2)).toEqual(['10001:10001'])
    expect(FILE).not.toMatch(/^ADD /m)
    expect(linesOf('RUN', 2).join('\n')).toContain('--owner=10001 --group=10001 /var/lib/latchkey')
  })

  test('copies what is there, and starts a command that the package has', () => {
    const copied = [...FILE.matchAll(/^COPY (?!--from)(\S+) /gm)].map(([, path = '']) => path)
    expect(copied).toEqual(['build/packages/*.tgz', 'deploy/healthcheck.mjs'])
    expect(existsSync(join(ROOT, 'deploy/healthcheck.mjs'))).toBe(true)
    expect(linesOf('ENTRYPOINT', 2)).toEqual(['["kes"]'])
    const { bin } = JSON.parse(
      readFileSync(join(installed, 'node_modules/@latchkey/kes-server/package.json'), 'utf8'),
    )
    expect(existsSync(join(installed, 'node_modules/@latchkey/kes-server', bin.kes))).toBe(true)
  })

  test('is made of packages that name no workspace', () => {
    for (const name of PACKAGES) {
      const path = join(installed, 'node_modules/@latchkey', name, 'package.json')
      expect(readFileSync(path, 'utf8')).not.toContain('workspace:')
    }
  })
})

const USER = 10_001

/** Writes what an operator mounts. @returns the path of the config file. */
async function mount(name: string, api: string): Promise<string> {
  const mounted = join(folder, name)
  mkdirSync(join(mounted, 'volume'), { recursive: true })
  const { key, cert } = await serverOf()
  const write = (file: string, text: string) => {
    const path = join(mounted, file)
    writeFileSync(path, text, { mode: 0o440 })
    chownSync(path, 0, USER) // As Kubernetes mounts a secret for the group of a pod.
    return path
  }
  chownSync(join(mounted, 'volume'), USER, USER)
  return write(
    'kes.yml',
    `
address: 127.0.0.1:${port}
workers: 2
admin: {identity: disabled}
tls: {key: ${write('tls.key', key)}, cert: ${write('tls.crt', cert)}}
api: {${api}}
console: {address: 127.0.0.1:${consolePort}}
keys: [{name: my-key}]
keystore:
  sqlite:
    path: ${join(mounted, 'volume/data/keys.db')}
    passphrase_file: ${write('passphrase', 'correct horse battery staple')}
    argon2: {memory: 8MiB, passes: 1}
`,
  )
}

/** Runs a program as the container does, with `volume` as the only place that can be written to. */
function confined(volume: string, ...command: readonly string[]): ChildProcess {
  const script = `
mount --bind "${folder}" "${folder}"
mount -o remount,bind,ro "${folder}"
mount -o remount,bind,ro /
mount --bind "$0" "$0"
mount -o remount,bind,rw "$0"
cd "$0"
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"`
  const args = ['--mount', '--propagation', 'private', 'sh', '-ec', script, volume, ...command]
  return spawn('unshare', args, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function outputOf(child: ChildProcess): Promise<Run> {
  const output = gather(child)
  const [code] = await once(child, 'close')
  return { code, ...output }
}

function gather(child: ChildProcess) {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return output
}

const checkHealth = () =>
  run(process.execPath, [join(ROOT, 'deploy/healthcheck.mjs')], { env: { LATCHKEY_PORT: String(port) } })

async function isConfinable(): Promise<boolean> {
  const { code } = await outputOf(confined(folder, 'true'))
  return code === 0
}

test('the server runs there, and is found healthy', async ({ skip }) => {
  if (!(await isConfinable())) skip('file systems can not be mounted here')
  const config = await mount('healthy', '/v1/ready: {skip_auth: true}')
  const volume = join(folder, 'healthy/volume')
  mkdirSync(join(folder, 'open'))
  chmodSync(join(folder, 'open'), 0o777)
  const touched = await outputOf(confined(volume, 'touch', join(folder, 'open/file')))
  expect(touched.stderr).toContain('Read-only file system')

  expect(await checkHealth()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('the server is down'),
  })
  const main = join(installed, 'node_modules/.bin/kes')
  for (const start of ['first', 'second']) {
    const server = confined(volume, process.execPath, main, 'server', '--config', config)
    const output = gather(server)
    await expect.poll(() => output.stdout + output.stderr, { timeout: 30_000 }).toContain('up and running')
    expect(await checkHealth()).toEqual({ code: 0, stdout: '', stderr: '' })
    const page = await fetch(`http://127.0.0.1:${consolePort}/`)
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<script')])
    server.kill('SIGTERM')
    const [code] = await once(server, 'close')
    expect([start, code, output.stderr.includes('"level":"ERROR"')]).toEqual([start, 0, false])
  }
  expect(readdirSync(join(volume, 'data'))).toContain('keys.db')
})

test('what Node has compiled of the server is there for its user to read', async ({ skip }) => {
  if (!(await isConfinable())) skip('file systems can not be mounted here')
  const compiled = join(installed, 'node_modules/@latchkey/kes-server/node_modules/.cache/compile')
  const files = readdirSync(compiled, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  )
  expect(files.length).toBeGreaterThan(100)
  const program = `
    const { enableCompileCache } = require('node:module')
    const { readFileSync } = require('node:fs')
    const { message = 'enabled' } = enableCompileCache(${JSON.stringify(compiled)})
    for (const file of ${JSON.stringify(files.map(({ parentPath, name }) => join(parentPath, name)))}) readFileSync(file)
    console.log(message, process.getuid())`
  const volume = join(folder, 'compiled')
  mkdirSync(volume)
  expect(await outputOf(confined(volume, process.execPath, '-e', program))).toEqual({
    code: 0,
    stdout: `enabled ${USER}\n`,
    stderr: '',
  })
})

test('a config that does not leave /v1/ready open is named by the health check', async ({ skip }) => {
  if (!(await isConfinable())) skip('file systems can not be mounted here')
  const main = join(installed, 'node_modules/.bin/kes')
  for (const [name, api, reason] of [
    ['closed', '', "no API of its config has 'skip_auth'"],
    ['elsewhere', '/v1/status: {skip_auth: true}', "must have 'skip_auth' for /v1/ready"],
  ] as const) {
    const config = await mount(name, api)
    const server = confined(
      join(folder, name, 'volume'),
      process.execPath,
      main,
      'server',
      '--config',
      config,
    )
    const output = gather(server)
    await expect.poll(() => output.stdout + output.stderr, { timeout: 30_000 }).toContain('up and running')
    expect(await checkHealth()).toMatchObject({ code: 1, stderr: expect.stringContaining(reason) })
    server.kill('SIGTERM')
    await once(server, 'close')
  }
})
