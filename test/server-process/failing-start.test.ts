/** Starts that fail: one line that says why, exit code 1, nothing touched and no secret told. */
import { chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clientOf, keyPairOf, serverOf } from '../sandbox/certificates.ts'
import { Installation } from './installation.ts'
import { type Ran, type RunOptions, requireOfServer } from './server-process.ts'

const NOBODY = 65534
const IS_ROOT = process.getuid?.() === 0
const VAULT_SECRET = 'a-secret-id-of-vault'
const WRONG_PASSPHRASE = 'correct horse battery staple'

let original: Installation

beforeAll(async () => {
  original = await Installation.make({ keys: ['my-key'] })
  const server = await original.start()
  await server.stop()
  original.secrets.addBytes(Buffer.from(VAULT_SECRET))
  original.secrets.addBytes(Buffer.from(WRONG_PASSPHRASE))
})

afterAll(() => original[Symbol.dispose]())

/** What counts as content: not who held the lock last, nor an empty log that SQLite makes where it only reads. */
function contentsOf(installation: Installation): Record<string, string> {
  const passing = /\.lock$|-shm$|-wal$/
  return Object.fromEntries(Object.entries(installation.digests()).filter(([name]) => !passing.test(name)))
}

/** Changes the files of a server before it starts. */
type Spoil = (installation: Installation) => void | Promise<void>

/** Runs the server on what `spoil` has made of a copy of its files. */
async function startSpoilt(spoil: Spoil, options?: RunOptions): Promise<Ran> {
  using installation = original.copy()
  await spoil(installation)
  const before = contentsOf(installation)
  const ran = await installation.run(undefined, options)
  expect(contentsOf(installation)).toEqual(before)
  return ran
}

function expectRefusal({ code, signal, stdout, stderr }: Ran, error: string | RegExp): void {
  expect([code, signal, stdout]).toEqual([1, null, ''])
  const [first, ...others] = stderr.trimEnd().split('\n')
  if (typeof error === 'string') expect(first).toBe(`Error: ${error}`)
  else expect(first).toMatch(error)
  // KES's words for a value of the wrong type take two lines.
  for (const line of others) expect(line).toMatch(/^(?:Hint: | {2}line \d+: )/)
  expect(stderr).not.toMatch(/^\s+at |node:internal/m)
  expect(original.secrets.findIn(stderr)).toEqual([])
}

const edit =
  (from: string | RegExp, to: string): Spoil =>
  (at) =>
    at.editConfig(from, to)
const storeAs = (yaml: string) => edit(/"sqlite": \{[^}]*\}/, yaml)

function changeStore(at: Installation, statement: string): void {
  const Database = requireOfServer('better-sqlite3')
  const db = new Database(at.storeFile)
  db.exec(statement)
  db.close()
}

test.concurrent.each<[name: string, spoil: Spoil, error: string | RegExp]>([
  [
    'another passphrase than a key file',
    edit(/"key_file": "[^"]*"/, `"passphrase": "${WRONG_PASSPHRASE}"`),
    'the passphrase does not open this store: it is opened with a key file',
  ],
  [
    'another key file',
    (at) => writeFileSync(at.keyFile, Buffer.alloc(32, 7)),
    'the key file does not open this store',
  ],
  [
    'a key file that others can read',
    (at) => chmodSync(at.keyFile, 0o640),
    /^Error: the key file '[^']+' is open to other users: run chmod 600 '[^']+'$/,
  ],
  [
    'a key file of 31 bytes',
    (at) => truncateSync(at.keyFile, 31),
    /^Error: the key file '[^']+' has 31 bytes: it must have 32 to 65536$/,
  ],
  ['no key file', edit('root.key', 'no.key'), /^Error: the key file '[^']+no\.key' can not be read/],
  [
    'a folder as key file',
    edit('root.key"', 'data"'),
    /^Error: the key file '[^']+data' is not a regular file$/,
  ],
  [
    'a damaged page of the store',
    (at) => {
      const bytes = readFileSync(at.storeFile)
      bytes.fill(0xa5, 4096, 8192)
      writeFileSync(at.storeFile, bytes)
    },
    /^Error: the store '[^']+' can not be opened: it is damaged: restore it from a backup/,
  ],
  [
    'a store that is cut off',
    (at) => truncateSync(at.storeFile, 5000),
    /^Error: the store '[^']+' can not be opened: it is damaged: restore it from a backup/,
  ],
  [
    'a store that is no database',
    (at) => writeFileSync(at.storeFile, 'A'.repeat(5000)),
    /^Error: the store '[^']+' can not be opened: it is not a SQLite database/,
  ],
  [
    'a store of a newer server',
    (at) => changeStore(at, 'PRAGMA user_version = 99'),
    /^Error: the store '[^']+' can not be opened: a newer server has written it \(schema 99, /,
  ],
  [
    "another program's database",
    (at) => changeStore(at, 'PRAGMA application_id = 1'),
    /^Error: the store '[^']+' can not be opened: it is another program's database$/,
  ],
  [
    'a trigger in the store',
    (at) => changeStore(at, 'CREATE TRIGGER t AFTER UPDATE ON keys BEGIN DELETE FROM keys; END'),
    /^Error: the store '[^']+' is damaged or was edited/,
  ],
  [
    'a TLS key of another certificate',
    (at) => {
      const { privateKey } = keyPairOf('another', 'p256')
      at.write('server.key', privateKey.export({ type: 'pkcs8', format: 'pem' }))
    },
    /^Error: failed to read TLS certificate: tls: private key does not match public key: '\S+server\.key' is not the key of '\S+server\.crt'$/,
  ],
  [
    'a TLS key of another kind',
    async (at) => void at.write('server.key', (await serverOf('ed25519')).key),
    /^Error: failed to read TLS certificate: tls: private key type does not match public key type: '\S+server\.key' is not /,
  ],
  [
    'a certificate without a name',
    async (at) => {
      const { key, cert } = await clientOf('without a name')
      at.write('server.key', key)
      at.write('server.crt', cert)
    },
    'invalid TLS certificate: certificate does not contain any DNS or IP address as SAN',
  ],
  [
    'no TLS key',
    edit('server.key', 'no.key'),
    /^Error: failed to read TLS certificate: open \S+no\.key: no such file or directory$/,
  ],
  [
    'no CA file',
    edit('"tls": {', '"tls": { "auth": "on", "ca": "/no/ca.pem",'),
    'failed to read TLS CA certificates: stat /no/ca.pem: no such file or directory',
  ],
  [
    'a CA file that holds a key',
    (at) => at.editConfig('"tls": {', `"tls": { "auth": "on", "ca": "${at.folder}/server.key",`),
    /^Error: failed to read TLS CA certificates: '[^']+server\.key' contains something else than/,
  ],
  [
    'a store that is not supported',
    storeAs(
      `"vault": { "endpoint": "https://127.0.0.1:1", "approle": { "id": "a", "secret": "${VAULT_SECRET}" } }`,
    ),
    "the key store 'vault' is not yet supported by this version of Latchkey; supported: sqlite, fs",
  ],
  ['no store', storeAs(''), 'kesconf: no keystore specified'],
  ['no admin', edit('"admin"', '"nobody"'), 'kesconf: invalid admin identity: no admin identity'],
  ['an empty config', (at) => writeFileSync(at.configFile, ''), 'EOF'],
  ['a config that is no text', (at) => writeFileSync(at.configFile, Buffer.of(0, 255)), /^Error: yaml: /],
  ['a config that is no YAML', (at) => writeFileSync(at.configFile, 'a: [b'), /^Error: yaml: line 1: /],
  [
    'a config that is a list',
    (at) => writeFileSync(at.configFile, '- a'),
    /^Error: yaml: unmarshal errors:$/,
  ],
  ['a config that nests deeply', (at) => writeFileSync(at.configFile, '['.repeat(50_000)), /^Error: /],
  [
    'a config that multiplies itself',
    (at) => writeFileSync(at.configFile, `a: &a [x]\n${multiply()}`),
    /^Error: /,
  ],
  [
    'a variable that is not set',
    edit(/"identity": "[0-9a-f]+"/, ['"identity": "$', '{NO_SUCH_VARIABLE}"'].join('')),
    /^Error: kesconf: referenced env\. variable 'NO_SUCH_VARIABLE' in line '\d+' not found$/,
  ],
  [
    'an address that is not here',
    edit('127.0.0.1:0', '192.0.2.1:7373'),
    'listen tcp 192.0.2.1:7373: bind: cannot assign requested address',
  ],
])('%s', async (_, spoil, error) => {
  expectRefusal(await startSpoilt(spoil), error)
})

/** Aliases of aliases: ten times as many values in each line. */
function multiply(): string {
  return Array.from({ length: 9 }, (_, index) => {
    const [name, of] = ['bcdefghij'[index], 'abcdefghi'[index]]
    return `${name}: &${name} [${Array(10).fill(`*${of}`).join(',')}]\n`
  }).join('')
}

test.concurrent.each<[name: string, args: string[], error: string]>([
  ['no config', [], 'open : no such file or directory'],
  ['a config that is missing', ['--config', '/no/kes.yml'], 'open /no/kes.yml: no such file or directory'],
  ['--dev with a config', ['--dev', '--config', 'a'], "'--config' flag is not supported in development mode"],
  ['an argument', ['kes.yml'], "too many arguments. See 'kes server --help'"],
  ['an unknown flag', ['--foo'], "unknown flag: --foo. See 'kes server --help'"],
  ['an address without port', ['--dev', '--addr', 'foo'], 'address foo: missing port in address'],
  ['an address by name', ['--dev', '--addr', 'localhost:1'], "'localhost' is not a valid IP address"],
  ['a port that is none', ['--dev', '--addr', '127.0.0.1:99999'], 'listen tcp: address 99999: invalid port'],
])('%s', async (_, args, error) => {
  expectRefusal(await original.run(args), error)
})

test('another passphrase than the one of the store', async () => {
  const passphrase = 'the passphrase of this store'
  original.secrets.addBytes(Buffer.from(passphrase))
  using installation = original.copy()
  const argon2 = '"argon2": { "memory": "8MiB", "passes": 1, "parallelism": 1 }'
  installation.editConfig(/"key_file": "[^"]*"/, `${argon2}, "passphrase": "${passphrase}"`)
  installation.editConfig('keys.db', 'other.db')
  const server = await installation.start()
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation.editConfig(passphrase, WRONG_PASSPHRASE)
  const before = contentsOf(installation)
  expectRefusal(await installation.run(), 'the passphrase does not open this store')
  expect(contentsOf(installation)).toEqual(before)
})

test.runIf(IS_ROOT)(
  'a store that this user may not write is refused, and a new one is not begun',
  async () => {
    const asNobody = IS_ROOT ? { uid: NOBODY } : {} // Root may write anywhere.
    const attempt = (spoil: Spoil) =>
      startSpoilt(async (at) => {
        await spoil(at)
        at.giveTo(NOBODY)
      }, asNobody)
    const readOnly =
      /^Error: the store '[^']+' can not be opened: it or its directory is not writable for this user/
    expectRefusal(await attempt((at) => chmodSync(dirname(at.storeFile), 0o500)), readOnly)
    expectRefusal(await attempt((at) => chmodSync(at.storeFile, 0o400)), readOnly)
    expectRefusal(
      await attempt((at) => {
        mkdirSync(join(at.folder, 'closed'), { mode: 0o500 })
        at.editConfig('data/keys.db', 'closed/new/keys.db')
      }),
      /^Error: the store '[^']+' can not be opened: its directory can not be made/,
    )
    expectRefusal(
      await attempt((at) => chmodSync(at.configFile, 0)),
      /^Error: open \S+kes\.yml: permission denied$/,
    )
  },
)
