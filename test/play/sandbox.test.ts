/** `npm start`: what it prints works as printed, what it keeps is kept, and nothing of it stays behind. */
import { execFile } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ApiKey, KesClient, KeyDisabledError, NotAllowedError } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { hasFoundAddressTaken } from '../../packages/play/src/sandbox/ports.ts'
import { KES, NODE } from '../../packages/play/src/sandbox/programs.ts'
import { Browser } from '../console/browser.ts'
import { peerTest } from '../peers/peer.ts'
import { type Announcement, isRunning, ROOT, StartProcess } from './start-process.ts'

const run = promisify(execFile)

/** Where sandboxes of a test are. */
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-play-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const start = (name = 'sandbox', ...args: string[]) =>
  StartProcess.spawn(['--persist', join(folder, name), ...args])

async function clientOf(announced: Announcement, apiKeyFile = announced.api_key_file): Promise<KesClient> {
  return new KesClient({
    endpoint: announced.key_server,
    apiKey: (await readFile(apiKeyFile, 'utf8')).trim(),
    caPath: announced.ca_file,
  })
}

/** Runs lines of a shell, with the commands of this checkout in place of those that npx looks up. */
async function typed(lines: readonly string[], path = process.env.PATH) {
  const PATH = `${join(ROOT, 'node_modules/.bin')}:${path}`
  const script = ['set -e', ...lines].join('\n').replaceAll(/\bnpx (?=kes|latchkey-node)/g, '')
  return await run('sh', ['-c', script], { cwd: ROOT, env: { PATH, HOME: folder } }).catch((error) => error)
}

/** The lines that a person is told to type, without remarks. */
function commandsIn(text: string): string[] {
  const [, printed = ''] = text.split('In another terminal, in this folder:')
  return [...printed.matchAll(/^ {4}([^#\s].*?)(?: +#.*)?$/gm)].map(([, command = '']) => command)
}

describe('on a terminal', () => {
  const KINDS = [
    { with: 'the AWS CLI', peer: 'aws', put: 'aws s3 cp README.md' },
    { with: 'curl, where there is no AWS CLI', peer: 'curl', put: '-T README.md' },
  ] as const

  for (const kind of KINDS) {
    peerTest(kind.peer, `every line that is printed works as printed, with ${kind.with}`, async () => {
      const bin = join(folder, 'bin')
      await linkProgram(bin, 'curl')
      await using sandbox = StartProcess.spawnOnTerminal(
        ['--persist', join(folder, 'my sandbox')],
        kind.peer === 'curl' ? { wholePath: bin } : {},
      )
      const text = await sandbox.welcomed()
      const commands = commandsIn(text)
      expect(commands).toHaveLength(11)
      const [environment = '', create = '', make = '', encrypt = '', put = '', putMine = '', ...rest] =
        commands
      const [disable = '', getMine = '', getOther = '', enable = '', getAgain = ''] = rest
      expect(put).toContain(kind.put)

      const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
      await expect(typed([environment, create, make, encrypt, put, putMine, getMine])).resolves.toMatchObject(
        {
          stdout: expect.stringContaining(readme),
        },
      )
      const refused = await typed([environment, disable, getMine])
      expect(refused.code).toBeGreaterThan(0)
      expect(refused.stdout).not.toContain('Latchkey')
      expect(refused.stderr).toMatch(/kms:NotAuthorized|403/)
      await expect(typed([environment, getOther])).resolves.toMatchObject({ stdout: readme })
      await expect(typed([environment, enable, getAgain])).resolves.toMatchObject({ stdout: readme })
    })
  }

  test('it says what it is not for, and shows the secrets once; the next start finds everything', async () => {
    const first = StartProcess.spawnOnTerminal(['--persist', join(folder, 'sandbox')])
    const text = await first.welcomed()
    expect(text).toContain('Never put anything into it that you can not lose or reveal: no real names')
    const [apiKey = ''] = /kes:v1:\S+/.exec(text) ?? []
    expect(await readFile(join(folder, 'sandbox/root.api-key'), 'utf8')).toBe(`${apiKey}\n`)
    expect(text).toContain(`shown this once; kept in ${join(folder, 'sandbox/root.api-key')}`)
    await typed([`. ${folder}/sandbox/env`, 'kes key create kept', 'kes key disable kept'])
    first.type('\u0003')
    expect(await first.ended).toBe(0)

    await using second = StartProcess.spawnOnTerminal(['--persist', join(folder, 'sandbox')])
    expect(await second.welcomed()).not.toMatch(/kes:v1:|shown this once/)
    const found = await typed([`. ${folder}/sandbox/env`, 'kes key info kept'])
    expect(found.stdout).toContain('disabled')
  })

  test("mc's own command is printed where mc is MinIO's, and not where it is Midnight Commander", async () => {
    for (const [version, isMinio] of [
      ['mc version RELEASE.2025-08-13T08-35-41Z (commit-id=0)', true],
      ['GNU Midnight Commander 4.8.29', false],
    ] as const) {
      const bin = join(folder, isMinio ? 'minio' : 'midnight')
      await mkdir(bin)
      await writeFile(join(bin, 'mc'), `#!/bin/sh\necho '${version}'\n`)
      await chmod(join(bin, 'mc'), 0o755)
      await using sandbox = StartProcess.spawnOnTerminal(['--persist', join(folder, 'sandbox')], {
        path: bin,
      })
      const mc = `mc --config-dir ${folder}/sandbox/mc encrypt set sse-s3 sandbox/demo`
      expect(commandsIn(await sandbox.welcomed()).includes(mc)).toBe(isMinio)
    }
  })

  test('--reset asks, and a no leaves everything', async () => {
    const first = await start().announced()
    const identity = first.root_identity
    process.kill(first.pid, 'SIGTERM')
    await vi.waitUntil(() => !isRunning(first.pid), { timeout: 20_000 })

    const asked = StartProcess.spawnOnTerminal(['--persist', join(folder, 'sandbox'), '--reset'])
    await asked.prints(`Remove ${join(folder, 'sandbox')}, with all its keys and objects? [y/N]`)
    asked.type('\n')
    expect(await asked.ended).toBe(1)
    await using second = start()
    expect((await second.announced()).root_identity).toBe(identity)
  })
})

/** A folder for a `PATH` on which there is nothing else. */
async function linkProgram(bin: string, name: string): Promise<void> {
  await mkdir(bin)
  const { stdout } = await run('sh', ['-c', `command -v ${name}`])
  await symlink(stdout.trim(), join(bin, name))
}

test('without a terminal it prints one line of JSON without a secret, and what is secret is for its owner', async () => {
  await using sandbox = start()
  const announced = await sandbox.announced()
  const path = join(folder, 'sandbox')
  expect(announced).toMatchObject({
    key_server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
    console: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    s3: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
    folder: path,
    pid: sandbox.pid,
  })
  const names = await readdir(path, { recursive: true })
  expect(names).toEqual(expect.arrayContaining(['root.key', 'root.cert', 'root.api-key', 'kes.yml', 'env']))
  for (const name of [
    'root.api-key',
    'root.key',
    'node.api-key',
    's3.secret-key',
    'seal.key',
    'env',
    'curl',
  ]) {
    expect([name, (await stat(join(path, name))).mode & 0o077]).toEqual([name, 0])
    const lines = (await readFile(join(path, name), 'utf8')).split('\n').filter((line) => line.length > 20)
    for (const line of lines) expect(sandbox.stdout).not.toContain(line)
  }
  expect((await stat(path)).mode & 0o077).toBe(0)
  expect(sandbox.stderr).toBe('')
})

test('root may do everything; the node may create keys, generate and decrypt, and no more', async () => {
  await using sandbox = start()
  const announced = await sandbox.announced()
  await using root = await clientOf(announced)
  await using node = await clientOf(announced, join(folder, 'sandbox/node.api-key'))
  expect(await root.describeSelf()).toMatchObject({ isAdmin: true, identity: announced.root_identity })
  await root.createKey('mine')
  const { ciphertext, plaintext } = await node.generateKey('mine')
  expect(Buffer.compare(await node.decrypt('mine', ciphertext), plaintext)).toBe(0)
  await node.createKey('its')
  for (const refused of [
    node.disableKey('mine'),
    node.enableKey('mine'),
    node.deleteKey('mine'),
    node.encrypt('mine', Buffer.from('text')),
    node.describeKey('mine'),
    node.status(),
  ]) {
    await expect(refused).rejects.toThrow(NotAllowedError)
  }
  await root.disableKey('mine')
  await expect(node.generateKey('mine')).rejects.toThrow(KeyDisabledError)
})

test('the console lets root in, warns that this is a sandbox, and shows what is stored', async () => {
  await using sandbox = start()
  const announced = await sandbox.announced()
  await typed([
    `. ${announced.env_file}`,
    `curl -sfK '${folder}/sandbox/curl' -X PUT ${announced.s3}/photos`,
    'latchkey-node encrypt set sse-s3 photos',
  ])
  const root = ApiKey.parse((await readFile(announced.api_key_file, 'utf8')).trim())
  const browser = await new Browser(announced.console).login({
    privateKey: root.privateKey,
    publicKey: createPublicKey(root.privateKey),
  })
  expect((await browser.send('GET', '/')).text).toContain('<!doctype html>')
  expect((await browser.send('GET', '/console/info')).json).toMatchObject({
    sandbox: true,
    admin: true,
    identity: announced.root_identity,
  })
  expect((await browser.send('GET', '/console/node/buckets')).json).toMatchObject({
    buckets: [{ name: 'photos', encryption: { kind: 'SSE-S3' } }],
  })
})

test("the key server's config is one without problems, for whoever has read the file 'env'", async () => {
  const first = start()
  const announced = await first.announced()
  await first.stop()
  const config = join(folder, 'sandbox/kes.yml')
  const { stdout } = await typed([`. ${announced.env_file}`, `kes config check ${config}`])
  expect(stdout).toContain('no problems found')
})

test('a folder has one sandbox at a time', async () => {
  await using first = start()
  await first.announced()
  await using second = start()
  expect(await second.ended).toBe(1)
  expect(second.stderr).toBe(
    `Error: a sandbox is running on ${join(folder, 'sandbox')}: stop it first, or choose another folder with --persist\n`,
  )
  await using reset = start('sandbox', '--reset', '--yes')
  expect(await reset.ended).toBe(1)
  expect(reset.stderr).toMatch(/a sandbox is running/)
})

test('--reset begins anew, and without a terminal takes --yes', async () => {
  const first = start()
  const before = await first.announced()
  await using beforeClient = await clientOf(before)
  await beforeClient.createKey('old')
  expect(await first.stop()).toBe(0)

  const unsure = start('sandbox', '--reset')
  expect(await unsure.ended).toBe(1)
  expect(unsure.stderr).toBe('Error: --reset without a terminal takes --yes as well\n')

  await using second = start('sandbox', '--reset', '--yes')
  const after = await second.announced()
  expect(after.root_identity).not.toBe(before.root_identity)
  await using client = await clientOf(after)
  expect(await Array.fromAsync(client.listKeys())).toEqual([after.default_key])
})

test('a folder that is no sandbox is neither used nor removed', async () => {
  const path = join(folder, 'thesis')
  await mkdir(path)
  await writeFile(join(path, 'chapter-1.txt'), 'It was')
  for (const args of [[], ['--reset', '--yes']]) {
    const refused = start('thesis', ...args)
    expect(await refused.ended).toBe(1)
    expect(refused.stderr).toBe(
      `Error: ${path} holds something else than a sandbox: choose an empty folder with --persist\n`,
    )
  }
  expect(await readdir(path)).toEqual(['chapter-1.txt'])
})

test('ports that are taken are said plainly, and others are found; one that was asked for must be free', async () => {
  await using first = StartProcess.spawnOnTerminal(['--persist', join(folder, 'first')])
  await using second = StartProcess.spawnOnTerminal(['--persist', join(folder, 'second')])
  const texts = await Promise.all([first.welcomed(), second.welcomed()])
  for (const [label, name, usual] of [
    ['Key server', 'the key server', '7373'],
    ['S3', 'S3', '9000'],
    ['Console', 'the console', '9001'],
  ] as const) {
    const ports = texts.map(
      (text) => new RegExp(`^    ${label} +https?://127.0.0.1:(\\d+)`, 'm').exec(text)?.[1],
    )
    expect(ports[0], label).not.toBe(ports[1])
    for (const [index, port] of ports.entries()) {
      const remark = `Port ${usual} is taken, so ${name} listens on ${port}.`
      expect([label, texts[index]?.includes(remark)]).toEqual([label, port !== usual])
    }
  }

  const busy = createServer().listen(0, '127.0.0.1')
  await vi.waitUntil(() => busy.listening)
  const address = busy.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const refused = start('third', '--node-port', String(port))
  expect(await refused.ended).toBe(1)
  expect(refused.stderr).toBe(`Error: port ${port} is taken: choose another one with --node-port\n`)
  busy.close()
})

test('an address that other machines reach is refused, and nothing is made', async () => {
  const addresses = ['0.0.0.0', '::', '192.0.2.1', '2001:db8::1']
  const refusals = addresses.map(async (address) => {
    const refused = start('sandbox', '--address', address)
    expect(await refused.ended).toBe(1)
    expect(refused.stderr).toBe(
      `Error: ${address} can be reached from other machines, and a sandbox protects nothing: add --i-know-this-is-public if that is what you want\n`,
    )
  })
  await Promise.all(refusals)
  expect(await readdir(folder)).toEqual([])
})

test('a program that another one was quicker than is told from one that fails', async () => {
  const busy = createServer().listen(0, '127.0.0.1')
  await once(busy, 'listening')
  const { port } = busy.address() as AddressInfo
  const said = async (main: string, ...args: string[]) => {
    const env = { MINIO_ROOT_USER: 'sandbox', MINIO_ROOT_PASSWORD: 'a-secret-key' }
    const { stderr } = await run(process.execPath, [main, 'server', ...args], { env }).catch((error) => error)
    return hasFoundAddressTaken(stderr.split('\n'))
  }
  expect(await said(KES, '--dev', '--addr', `127.0.0.1:${port}`)).toBe(true)
  expect(await said(NODE, folder, '--address', `127.0.0.1:${port}`)).toBe(true)
  expect(await said(NODE, '/dev/null/no-folder', '--address', '127.0.0.1:0')).toBe(false)
  busy.close()
})

test('two that start at the same moment find ports of their own', async () => {
  await using first = start('first')
  await using second = start('second')
  const [one, other] = await Promise.all([first.announced(), second.announced()])
  const urls = [one, other].flatMap(({ key_server: keyServer, s3, console }) => [keyServer, s3, console])
  expect(new Set(urls.map((url) => new URL(url).port)).size).toBe(6)
})

test.each([
  [['--port', '70000'], "'--port 70000' is not a port"],
  [['--address', 'localhost'], "'--address localhost' is no IP address"],
  [['--data', 'x'], "Unknown option '--data'"],
  [['--address', '192.0.2.1', '--i-know-this-is-public'], 'nothing can listen on port 7373 of 192.0.2.1: '],
])('%j is refused in one line', async (args, message) => {
  const refused = start('sandbox', ...args)
  expect(await refused.ended).toBe(1)
  expect(refused.stderr).toContain(`Error: ${message}`)
})

test('a signal ends all of it, with exit code 0', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const sandbox = start()
    const { pids } = await sandbox.announced()
    sandbox.kill(signal)
    expect(await sandbox.ended).toBe(0)
    expect(Object.values(pids).filter(isRunning)).toEqual([])
  }
})

test('a signal during the start ends it as well', async () => {
  const sandbox = start()
  await vi.waitUntil(() => stat(join(folder, 'sandbox/kes.yml')).then(Boolean, () => false), {
    timeout: 20_000,
  })
  sandbox.kill('SIGTERM')
  expect(await sandbox.ended).toBe(0)
  expect(sandbox.stdout).toBe('')
  await using again = start()
  await again.announced()
})

test('when its process is killed, the programs end with it, and the next start finds everything', async () => {
  const sandbox = start()
  const { pids, root_identity: identity } = await sandbox.announced()
  sandbox.kill('SIGKILL')
  expect(await sandbox.ended).toBe('SIGKILL')
  await vi.waitUntil(() => !Object.values(pids).some(isRunning), { timeout: 20_000 })
  await using again = start()
  expect((await again.announced()).root_identity).toBe(identity)
})

test.each([
  ['key_server', 'the key server'],
  ['node', 'the storage node'],
] as const)('when %s dies, it is said, and all ends with its exit code', async (program, name) => {
  const sandbox = start()
  const { pids } = await sandbox.announced()
  process.kill(pids[program], 'SIGKILL')
  expect(await sandbox.ended).toBe(128 + 9)
  expect(sandbox.stderr).toContain(`Error: ${name} was ended by SIGKILL\n`)
  expect(Object.values(pids).filter(isRunning)).toEqual([])
})

test('a program that does not start says why, in its own words', async () => {
  const first = start()
  await first.announced()
  await first.stop()
  await writeFile(join(folder, 'sandbox/keys.db'), 'no database')
  const broken = start()
  expect(await broken.ended).toBe(1)
  expect(broken.stderr).toContain('Error: the key server has ended with exit code 1\n  Error: ')
})

test("while the node's own key is locked, the sandbox waits, and says how to enable it", async () => {
  const first = start()
  const before = await first.announced()
  await using beforeClient = await clientOf(before)
  await beforeClient.disableKey(before.default_key)
  await first.stop()

  await using second = start()
  await second.prints(`its own key, ${before.default_key}, is locked`)
  expect(second.stdout).toBe('')
  const [keyServer = ''] = (await readFile(`/proc/${second.pid}/task/${second.pid}/children`, 'utf8')).split(
    ' ',
  )
  process.kill(Number(keyServer), 'SIGKILL')
  expect(await second.ended).toBe(128 + 9)
  expect(second.stderr).toContain('Error: the key server was ended by SIGKILL\n')

  await using third = start()
  await third.prints(`its own key, ${before.default_key}, is locked`)
  await typed([`. ${folder}/sandbox/env`, `kes key enable ${before.default_key}`])
  await third.announced()
})
