// The folder of the Go KES under a server as an operator runs it.
import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeyNotFoundError } from '../../packages/kes-server/src/errors.ts'
import { KeyRing } from '../../packages/kes-server/src/keyring/key-ring.ts'
import { parseKeyName } from '../../packages/kes-server/src/names.ts'
import { openStore } from '../../packages/kes-server/src/open-store.ts'
import { decodeStoredKey } from '../../packages/kes-server/src/seal/stored-key.ts'
import { readVectors } from '../read-vectors.ts'
import { fsKeystore } from '../sandbox/prepared-store.ts'
import { Installation } from './installation.ts'
import { runKes } from './server-process.ts'

interface Vectors {
  readonly keys: readonly { readonly name: string; readonly stored_value: string }[]
  readonly rows: readonly {
    readonly key_name: string
    readonly context?: string | null
    readonly plaintext?: string
    readonly ciphertext: string
    readonly decrypts: boolean
  }[]
}

const { keys, rows } = readVectors<Vectors>('ciphertexts.json')

/** An installation of the Go KES: its config names the folder of keys, and nothing of ours. */
async function installGoKes(): Promise<{ installation: Installation; folder: string }> {
  const installation = await Installation.make({ store: 'fs' })
  const folder = join(installation.folder, 'keys')
  mkdirSync(folder, { mode: 0o755 })
  for (const { name, stored_value } of keys) {
    writeFileSync(join(folder, name), stored_value, { mode: 0o600 })
    installation.secrets.addBytes(decodeStoredKey(stored_value).secretKey)
  }
  return { installation, folder }
}

describe('the program is swapped, and nothing else', () => {
  test('what the Go KES has encrypted is decrypted, and its folder holds nothing but keys', async () => {
    const { installation, folder } = await installGoKes()
    using _ = installation
    await using server = await installation.start()
    expect(server.stdout).toContain(`Filesystem: ${folder}\n`)
    const decrypted = rows.filter(({ decrypts, context }) => decrypts && context).slice(0, 10)
    for (const { key_name, ciphertext, context, plaintext } of decrypted) {
      const body = { ciphertext, context }
      const reply = await server.request('PUT', `/v1/key/decrypt/${key_name}`, { body })
      expect(JSON.parse(reply.rawBody.toString())).toEqual({ plaintext })
    }

    expect((await server.request('PUT', '/v1/key/create/ours')).status).toBe(200)
    expect((await server.request('PUT', '/v1/key/disable/ours')).status).toBe(200)
    await server.stop()
    expect(server.stderr).toContain('lie in the clear')
    const names = [...keys.map(({ name }) => name), 'ours'].sort()
    expect(readdirSync(folder).sort()).toEqual(names)
    for (const { name, stored_value } of keys) {
      expect(readFileSync(join(folder, name), 'utf8')).toBe(stored_value)
    }
    expect(decodeStoredKey(readFileSync(join(folder, 'ours'))).hmacKey).toHaveLength(32)
    const beside = readdirSync(installation.folder).filter((name) => name.startsWith('keys.latchkey'))
    expect(beside).toEqual(
      expect.arrayContaining([
        'keys.latchkey.db',
        'keys.latchkey.db.journal.pub',
        'keys.latchkey.db.key',
        'keys.latchkey.db.lock',
        'keys.latchkey.db.reserve',
        'keys.latchkey.db.uses',
        'keys.latchkey.new',
      ]),
    )
    for (const name of beside) expect(statSync(join(installation.folder, name)).mode & 0o077).toBe(0)

    await using again = await installation.start()
    const refused = await again.request('PUT', '/v1/key/generate/ours')
    expect(JSON.parse(refused.rawBody.toString()).code).toBe('KeyDisabled')
    await again.stop()
  })

  test('a key that the Go KES has replaced meanwhile is refused until it is adopted, with the server stopped', async () => {
    const { installation, folder } = await installGoKes()
    using _ = installation
    const [first, second] = keys
    await using server = await installation.start()
    const adopt = ['key', 'adopt', '--config', installation.configFile, first?.name ?? '']
    expect(await runKes(adopt)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/in use by another server/),
    })
    await server.stop()
    writeFileSync(join(folder, first?.name ?? ''), second?.stored_value ?? '')

    await using refusing = await installation.start()
    expect((await refusing.request('PUT', `/v1/key/generate/${first?.name}`)).status).toBe(502)
    await refusing.stop()
    expect(refusing.stderr).toContain(`'kes key adopt' takes it as it is: 1 ('${first?.name}')`)

    expect(await runKes(adopt)).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    await using serving = await installation.start()
    expect((await serving.request('PUT', `/v1/key/generate/${first?.name}`)).status).toBe(200)
    await serving.stop()
  })

  test('adopting says what it needs', async () => {
    using installation = await Installation.make()
    const config = ['--config', installation.configFile]
    const error = (text: string) => ({ code: 1, stdout: '', stderr: `Error: ${text}\n` })
    expect(await runKes(['key', 'adopt', ...config])).toMatchObject(
      error("no key name specified. See 'kes key adopt --help'"),
    )
    expect(await runKes(['key', 'adopt', 'a'])).toMatchObject(
      error("no config file specified. See 'kes key adopt --help'"),
    )
    expect(await runKes(['key', 'adopt', ...config, 'a'])).toMatchObject(
      error(`the key store of '${installation.configFile}' is no folder of keys: there is nothing to adopt`),
    )
    const folder = join(installation.folder, 'keys')
    installation.useFolder({ path: folder })
    expect(await runKes(['key', 'adopt', ...config, 'a'])).toMatchObject(
      error(`the store '${folder}' does not exist`),
    )
  })
})

const run = promisify(execFile)
const PROGRAM = join(import.meta.dirname, 'fs-kill.ts')
/** One of so many calls, beginning at random; all with `FS_KILL_EVERY=1`. */
const EVERY = Number(process.env.FS_KILL_EVERY ?? 3)
const SAYS_YES = ['opened', 'made', 'disabled', 'erased']

interface Setting {
  readonly root: string
  readonly folder: string
  readonly database: string
}

describe('a kill at any write', () => {
  let prepared: Setting
  let calls: readonly string[] = []

  beforeAll(async () => {
    prepared = settingIn(mkdtempSync(join(tmpdir(), 'latchkey-fs-kill-')))
    const { store, seal, journal } = openStore({
      ...fsKeystore(prepared.folder),
      databasePath: prepared.database,
    })
    new KeyRing(store, seal, journal, { erasedNames: 'reserved' }).create(parseKeyName('old'), NOBODY)
    store.close()
    writeFileSync(join(prepared.folder, 'found'), keys[0]?.stored_value ?? '')
    const unharmed = copyOf(prepared)
    const { stdout } = await killAt(unharmed, 0, 'whole')
    rmSync(unharmed.root, { recursive: true })
    calls = stdout.trim().split('\n').at(-1)?.split(' ') ?? []
  })

  afterAll(() => rmSync(prepared.root, { recursive: true }))

  test('leaves whole keys only, and everything that was said yes to', async () => {
    expect(calls.length).toBeGreaterThan(30)
    const first = Math.floor(Math.random() * EVERY)
    const kills = [
      ...calls
        .filter((_, index) => index % EVERY === first)
        .map((call) => ({ number: Number.parseInt(call, 10), manner: 'whole' })),
      ...calls
        .filter((call) => call.endsWith('+'))
        .map((call) => ({ number: Number.parseInt(call, 10), manner: 'half' })),
    ]
    const killAll = async () => {
      for (let kill = kills.pop(); kill !== undefined; kill = kills.pop()) {
        const setting = copyOf(prepared)
        const { stdout } = await killAt(setting, kill.number, kill.manner)
        await verify(
          setting,
          SAYS_YES.filter((line) => stdout.split('\n').includes(line)),
        )
        rmSync(setting.root, { recursive: true })
      }
    }
    await Promise.all(Array.from({ length: availableParallelism() }, killAll))
  }, 300_000)
})

const NOBODY = { identity: '', ip: '' }

function settingIn(root: string): Setting {
  return { root, folder: join(root, 'keys'), database: join(root, 'keys.db') }
}

function copyOf({ root }: Setting): Setting {
  const copy = mkdtempSync(join(tmpdir(), 'latchkey-fs-kill-'))
  cpSync(root, copy, { recursive: true })
  return settingIn(copy)
}

async function killAt(
  { folder, database }: Setting,
  number: number,
  manner: string,
): Promise<{ stdout: string }> {
  const args = [PROGRAM, folder, database, String(number), manner]
  return run(process.execPath, args).catch((error) => error)
}

async function verify({ folder, database, root }: Setting, saidYes: readonly string[]): Promise<void> {
  for (const name of readdirSync(folder)) {
    expect(['old', 'found', 'made']).toContain(name)
    expect(decodeStoredKey(readFileSync(join(folder, name))).secretKey).toHaveLength(32)
  }
  const { store, seal, journal } = openStore({ ...fsKeystore(folder), databasePath: database })
  try {
    await store.purge()
    const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
    expect(readdirSync(folder).sort()).toEqual(store.names('', undefined, 10))
    expect(readdirSync(join(root, 'keys.latchkey.new'))).toEqual([])
    for (const name of store.names('', undefined, 10)) {
      if (ring.describe(name).state === 'enabled') expect(ring.use(name).hmac).toBeDefined()
    }
    if (saidYes.includes('made')) expect(ring.describe(parseKeyName('made')).createdBy).toBe('killed')
    if (saidYes.includes('disabled')) expect(ring.describe(parseKeyName('found')).state).toBe('disabled')
    if (saidYes.includes('erased')) expect(() => ring.use(parseKeyName('old'))).toThrow(KeyNotFoundError)
    if (!saidYes.includes('disabled')) expect(ring.use(parseKeyName('old')).hmac).toBeDefined()
  } finally {
    store.close()
  }
}
