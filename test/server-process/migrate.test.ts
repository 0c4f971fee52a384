// `kes migrate` as a process: what it prints, and what a kill leaves.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeStoredKey, encodeStoredKey } from '../../packages/kes-server/src/seal/stored-key.ts'
import { Installation } from './installation.ts'
import { requireOfServer, runKes, sleep } from './server-process.ts'

/** How many keys a killed migration has; 100,000 with `MIGRATE_KEYS=100000`. */
const KEYS = Number(process.env.MIGRATE_KEYS ?? 3000)
const KILLS = Number(process.env.MIGRATE_KILLS ?? 3)
const MAIN = resolve(import.meta.dirname, '../../packages/kes-server/src/main.js')

let root: string
let folder: string
let target: Installation

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'latchkey-migrate-'))
  folder = join(root, 'keys')
  mkdirSync(folder)
  target = await Installation.make()
})

afterEach(() => {
  target[Symbol.dispose]()
  rmSync(root, { recursive: true })
})

/** As a Go KES has left them. */
function makeKeys(...names: readonly string[]): void {
  for (const name of names) {
    const [secretKey, hmacKey] = [randomBytes(32), randomBytes(32)]
    const facts = { algorithm: 'AES256', createdAt: '2024-01-12T10:39:20.886816Z', createdBy: 'go' } as const
    writeFileSync(join(folder, name), encodeStoredKey({ ...facts, secretKey, hmacKey }), { mode: 0o600 })
  }
}

function migrate(...args: readonly string[]) {
  return runKes(['migrate', '--from', folder, '--to', target.configFile, ...args])
}

/** What is said of each folder without a database. */
function noState(): string {
  return (
    `WARNING: there is no state beside '${folder}': if a Latchkey uses the folder and has its database elsewhere, ` +
    'locks and reserved names are not copied; they are with --from and the config file of its server\n'
  )
}

function failure(text: string) {
  return { code: 1, stderr: expect.stringContaining(`Error: ${text}\n`) }
}

/** As KES prints it. */
function success(text: string) {
  return { code: 0, stdout: `Starting key migration:\n\n${text}\n` }
}

describe('what is printed', () => {
  test('is KES’s for keys that were copied, and for none', async () => {
    expect(await migrate()).toMatchObject(success('Migration succeeded! No keys migrated.'))
    makeKeys('a', 'b', 'c')
    expect(await migrate()).toMatchObject(success('Migrated      3 keys successfully!'))
    expect(await migrate()).toMatchObject(
      success('Migration succeeded! No keys migrated.\nThe target had 3 of the keys already.'),
    )
    expect(readdirSync(root)).toEqual(['keys'])
  })

  test('is KES’s for another key of the same name, and what to do', async () => {
    makeKeys('a', 'b')
    await migrate('a')
    makeKeys('a')
    expect(await migrate()).toEqual({
      code: 1,
      signal: null,
      stdout: 'Starting key migration:\n\n',
      stderr:
        noState() +
        'Error: key already exists\n' +
        'Hint: The target has other keys of these names, or has reserved them: a\n' +
        'Hint: Nothing was copied. To keep them: --merge. To replace them: --force\n',
    })
    expect(await migrate('--merge')).toMatchObject(
      success('Migrated      1 keys successfully!\nThe target has other keys of these names, which stay: a'),
    )
    expect(await migrate('--force')).toMatchObject(
      success('Migrated      1 keys successfully!\nThe target had 1 of the keys already.'),
    )
  })

  test('names what is no key, and the exit code says that something is missing', async () => {
    makeKeys('a')
    writeFileSync(join(folder, 'b'), 'no key')
    writeFileSync(join(folder, 'c.d'), 'no key')
    expect(await migrate()).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('Migrated      1 keys successfully!\n'),
      stderr:
        noState() +
        `WARNING: names in '${folder}' that no key can have, which are left out: 1\n` +
        'Error: keys that can not be read in the source were not copied: b\n',
    })
  })

  test('by a dry run is what would be done, and nothing is', async () => {
    makeKeys('a', 'b')
    expect(await migrate('--dry-run')).toMatchObject(success('Would migrate      2 keys.'))
    expect(readdirSync(join(target.folder, 'data'))).toEqual([])
    expect(await migrate()).toMatchObject(success('Migrated      2 keys successfully!'))
  })
})

test.each([
  [['--to', 'x'], "no source specified. Use '--from' flag"],
  [['--from', 'x', '--force', '--merge'], "'--force' and '--merge' flags are mutually exclusive"],
  [['--from', 'x'], "missing migration target. Use '--to'"],
  [['--from', 'x', '-s', 'h'], "missing migration target. Use '--to'"],
  [['--from', 'x', '--to', 'y', '-k'], "cannot use '-k / --insecure' and '--to' flag"],
  [['--from', 'x', '--to', 'y', '-s', 'h'], "cannot use '-s / --server' and '--to' flag"],
  [['--from', 'x', '--to', 'y', '-e', 'e'], "cannot use '-e / --enclave' and '--to' flag"],
  [['--from', 'x', '--to', 'y', '-a', 'k'], "cannot use '-a / --api-key' and '--to' flag"],
  [['--from', 'x', '--to', 'y', 'a', 'b'], "too many arguments. See 'kes migrate --help'"],
  [
    ['--from', 'x', '--to', 'y', '['],
    `invalid pattern "[": syntax error in pattern. See 'kes migrate --help'`,
  ],
  [['--from', 'x', '--to', '/nope.yml'], 'open /nope.yml: no such file or directory'],
])('kes migrate %j is refused', async (args, message) => {
  expect(await runKes(['migrate', ...args])).toMatchObject(failure(message))
})

test('a source that is the target, is not there, or is in use is refused', async () => {
  const { configFile } = target
  const self = ['migrate', '--from', configFile, '--to', configFile]
  expect(await runKes(self)).toMatchObject(failure('the source and the target are the same key store'))

  using source = await Installation.make()
  const fromConfig = ['migrate', '--from', source.configFile, '--to', configFile]
  expect(await runKes(fromConfig)).toMatchObject(failure(`there is no key store at '${source.storeFile}'`))
  expect(readdirSync(join(source.folder, 'data'))).toEqual([])

  await using server = await target.start()
  makeKeys('a')
  expect(await migrate()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('in use by another server'),
  })
  await server.stop()
})

test('stores that can not be opened yet are named, and not taken for the same one', async () => {
  using source = await Installation.make()
  using other = await Installation.make()
  source.editConfig(
    /"sqlite": \{[^}]*\}/,
    '"vault": { "endpoint": "e", "approle": { "id": "i", "secret": "s" } }',
  )
  other.editConfig(
    /"sqlite": \{[^}]*\}/,
    '"aws": { "secretsmanager": { "endpoint": "e", "region": "r", "credentials": { "accesskey": "a", "secretkey": "s" } } }',
  )
  const between = (from: string, to: string) => runKes(['migrate', '--from', from, '--to', to])
  const refused = (type: string) =>
    failure(`the key store '${type}' is not yet supported by this version of Latchkey; supported: sqlite, fs`)
  expect(await between(source.configFile, other.configFile)).toMatchObject(refused('vault'))
  expect(await between(folder, other.configFile)).toMatchObject(refused('aws-secretsmanager'))
})

test('a server decrypts with the keys that came from a Go KES, and refuses those that were locked', async () => {
  makeKeys('a', 'b')
  using between = await Installation.make()
  between.useFolder({ path: folder })
  await using first = await between.start()
  await first.request('PUT', '/v1/key/disable/b')
  const reply = await first.request('PUT', '/v1/key/generate/a')
  const { plaintext, ciphertext } = JSON.parse(reply.rawBody.toString())
  await first.stop()

  const { code } = await runKes(['migrate', '--from', between.configFile, '--to', target.configFile])
  expect(code).toBe(0)
  await using second = await target.start()
  const decrypted = await second.request('PUT', '/v1/key/decrypt/a', { body: { ciphertext } })
  expect(JSON.parse(decrypted.rawBody.toString())).toEqual({ plaintext })
  expect((await second.request('PUT', '/v1/key/generate/b')).status).toBe(403)
  const history = await second.request('GET', '/v1/key/history/b')
  expect(history.rawBody.toString()).toContain(`Filesystem: ${folder}`)
  await second.stop()
})

test('a folder whose Latchkey keeps its database elsewhere is refused, and its config file brings the locks', async () => {
  makeKeys('a', 'b')
  using between = await Installation.make()
  const places = { path: folder, database: join(between.folder, 'data', 'state.db') }
  between.useFolder(places)
  await using first = await between.start()
  await first.request('PUT', '/v1/key/disable/b')
  const refused = failure(
    `a Latchkey has used the folder '${folder}', and its state is not at '${folder}.latchkey.db'`,
  )
  expect(await migrate()).toMatchObject(refused)
  await first.stop()
  expect(await migrate('--dry-run')).toMatchObject(refused)
  expect(readdirSync(join(target.folder, 'data'))).toEqual([])

  const ran = await runKes(['migrate', '--from', between.configFile, '--to', target.configFile])
  expect(ran).toMatchObject(success('Migrated      2 keys successfully!'))
  await using second = await target.start()
  expect((await second.request('PUT', '/v1/key/generate/b')).status).toBe(403)
  await second.stop()
})

test('a config that names a database which is not there is refused', async () => {
  makeKeys('a', 'b')
  using between = await Installation.make()
  const places = { path: folder, database: join(between.folder, 'data', 'lost.db') }
  between.useFolder(places)
  const ran = await runKes(['migrate', '--from', between.configFile, '--to', target.configFile])
  expect(ran).toMatchObject(
    failure(`there is no database at '${places.database}', where the config has the state of the keys`),
  )
  expect(readdirSync(join(target.folder, 'data'))).toEqual([])
})

test('killed in the middle, again and again, it ends with every key once', async ({ annotate }) => {
  const names = Array.from({ length: KEYS }, (_, index) => `key-${String(index).padStart(6, '0')}`)
  makeKeys(...names)
  const counts: number[] = []
  const startedMs = performance.now()
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [MAIN, 'migrate', '--from', folder, '--to', target.configFile])
    const closed = once(child, 'close')
    const goal = Math.floor((KEYS * (kill + 1)) / (KILLS + 1))
    while (child.exitCode === null && countKeys() < goal) await sleep(5)
    child.kill('SIGKILL')
    await closed
    counts.push(countKeys())
  }
  expect(counts.some((count) => count > 0 && count < KEYS)).toBe(true)

  const { code, stdout } = await migrate()
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  await annotate(`${KEYS} keys in ${seconds} s, killed after ${counts.join(', ')}`)
  const [, migrated = '0'] = /Migrated +(\d+) keys/.exec(stdout) ?? []
  const [, present = '0'] = /The target had (\d+)/.exec(stdout) ?? []
  expect({ code, all: Number(migrated) + Number(present) }).toEqual({ code: 0, all: KEYS })
  expect(countKeys()).toBe(KEYS)

  await using server = await target.start()
  for (const name of [names[0], names.at(-1)]) {
    const text = readFileSync(join(folder, name ?? ''))
    const { createdAt } = decodeStoredKey(text)
    const described = await server.request('GET', `/v1/key/describe/${name}`)
    expect(JSON.parse(described.rawBody.toString())).toMatchObject({ created_at: createdAt, revision: 1 })
  }
  await server.stop()
}, 600_000)

function countKeys(): number {
  const Database = requireOfServer('better-sqlite3')
  try {
    const db = new Database(target.storeFile, { readonly: true, fileMustExist: true })
    const count = db.prepare('SELECT count(*) FROM keys').pluck().get()
    db.close()
    return count
  } catch {
    return 0 // Not made yet.
  }
}
