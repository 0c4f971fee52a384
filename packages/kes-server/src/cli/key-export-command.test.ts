// A single key goes from one store to another, and nobody on the way can read it.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeKes, runKes } from '../../../../test/kes-cli/harness.ts'
import { loadConfigFile } from '../config/load-config.ts'
import { KeyRing } from '../keyring/key-ring.ts'
import { readKey, type TransferredKey } from '../keyring/key-transfer.ts'
import { decodeSealedKey, encodeSealedKey, SealedKeyError } from '../keyring/sealed-key.ts'
import { parseKeyName } from '../names.ts'
import { type OpenStore, openStore } from '../open-store.ts'

const BY = { identity: 'b'.repeat(64), ip: '127.0.0.1' }
const a = parseKeyName('a')
const b = parseKeyName('b')

let folder: string
let file: string
let from: string
let to: string
let recipient: string
let identityFile: string

beforeEach(async () => {
  const identity = await generateIdentity()
  recipient = await identityToRecipient(identity)
  folder = mkdtempSync(join(tmpdir(), 'key-export-'))
  file = join(folder, 'a.age')
  from = write(
    'from.yml',
    `sqlite: {path: ${join(folder, 'from.db')}, key_file: ${join(folder, 'root.key')}}`,
  )
  to = write('to.yml', `fs: {path: ${join(folder, 'keys')}}`)
  identityFile = join(folder, 'identity.txt')
  writeFileSync(identityFile, `# a comment\n${identity}\n`)
  writeFileSync(join(folder, 'root.key'), 'k'.repeat(32), { mode: 0o600 })
  inStore(from, ({ ring }) => ring.create(a, BY))
  inStore(to, () => {})
})

afterEach(() => rmSync(folder, { recursive: true }))

function write(name: string, store: string): string {
  const path = join(folder, name)
  writeFileSync(path, `admin: {identity: x}\ntls: {key: k, cert: c}\nkeystore: {${store}}\n`)
  return path
}

function inStore<T>(config: string, body: (opened: OpenStore & { readonly ring: KeyRing }) => T): T {
  const opened = openStore(loadConfigFile(config).config.keystore)
  try {
    const { store, seal, journal } = opened
    return body({ ...opened, ring: new KeyRing(store, seal, journal, { erasedNames: 'reserved' }) })
  } finally {
    opened.store.close()
  }
}

async function makeAndErase(config: string): Promise<void> {
  const { store, seal, journal } = openStore(loadConfigFile(config).config.keystore)
  const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
  ring.create(a, BY)
  await ring.erase(a, BY)
  store.close()
}

function exportA() {
  return runKes(['key', 'export', '--config', from, '--recipient', recipient, 'a', file])
}

function importInto(config: string, ...more: readonly string[]) {
  return runKes([
    'key',
    'import',
    '--sealed',
    file,
    '--config',
    config,
    '--identity-file',
    identityFile,
    ...more,
  ])
}

const REFUSED = {
  code: 1,
  stderr: 'Error: the key is no age file, is damaged, or is not for this passphrase or identity\n',
}
const OK = { code: 0, stdout: '', stderr: '' }

describe('a key that is exported', () => {
  test('is the same in another store, whatever its kind', async () => {
    expect(await exportA()).toMatchObject(OK)
    expect(await importInto(to)).toMatchObject(OK)
    const key = inStore(from, (opened) => readKey(opened, a))
    const { secretKey, hmacKey, ...facts } = inStore(to, (opened) => readKey(opened, a))
    expect(facts).toEqual({
      name: 'a',
      algorithm: 'AES256',
      createdAt: key.createdAt,
      createdBy: BY.identity,
      state: 'enabled',
    })
    expect(Buffer.from(secretKey).equals(key.secretKey)).toBe(true)
    expect(Buffer.from(hmacKey ?? []).equals(key.hmacKey ?? Buffer.alloc(1))).toBe(true)
  })

  test('is in a file that only its owner may read, sealed, and the journals of both stores say so', async () => {
    await exportA()
    const { secretKey } = inStore(from, (opened) => readKey(opened, a))
    const text = readFileSync(file, 'latin1')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(text.startsWith('age-encryption.org/v1\n')).toBe(true)
    expect(text).not.toContain(Buffer.from(secretKey).toString('base64'))
    await importInto(to, 'b')
    const entriesOf = (config: string, name = a) =>
      inStore(config, ({ ring }) => ring.history(name, 0, 10)).map(({ entry }) => [
        entry.action,
        entry.detail,
      ])
    expect(entriesOf(from)).toEqual([
      ['create', undefined],
      ['export', { exported_for: recipient, by: 'local operator' }],
    ])
    expect(entriesOf(to, b)).toEqual([['import', { exported_as: 'a', by: 'local operator' }]])
    const revision = inStore(from, ({ ring }) => ring.describe(a).revision)
    expect(revision).toBe(2)
  })

  test('by a passphrase is opened by that', async () => {
    const passwords = ['correct horse', 'correct horse']
    expect(await runKes(['key', 'export', '--config', from, 'a', file], { passwords })).toMatchObject(OK)
    const args = ['key', 'import', '--sealed', file, '--config', to]
    expect(await runKes(args, { passwords: ['wrong horse'] })).toMatchObject(REFUSED)
    expect(await runKes(args, { passwords: ['correct horse'] })).toMatchObject(OK)
    const entry = inStore(from, ({ ring }) => ring.history(a, 0, 10)).at(-1)?.entry
    expect(entry?.detail).toEqual({ exported_for: 'a passphrase', by: 'local operator' })
  }, 120_000) // scrypt takes its time, by intent.

  test('stays locked if it was', async () => {
    inStore(from, ({ ring }) => ring.setState(a, 'disabled', BY))
    await exportA()
    await importInto(to)
    expect(inStore(to, ({ ring }) => ring.describe(a).state)).toBe('disabled')
  })

  test('keeps the date on which it will be erased where it is, and is disabled where it arrives', async () => {
    const before = inStore(from, ({ ring }) => ring.schedule(a, 60_000, BY))
    await exportA()
    const after = inStore(from, ({ ring }) => ring.describe(a))
    expect(after).toMatchObject({ state: 'pending', deletionAt: before.deletionAt })
    await importInto(to)
    expect(inStore(to, ({ ring }) => ring.describe(a).state)).toBe('disabled')
  })
})

describe('kes key export is refused', () => {
  test('for a key that is not there, and nothing is left', async () => {
    const args = ['key', 'export', '--config', from, '--recipient', recipient, 'no', file]
    expect(await runKes(args)).toMatchObject({
      code: 1,
      stderr: 'Error: failed to export key "no": key does not exist\n',
    })
    expect(readdirSync(folder).filter((name) => name.includes('age'))).toEqual([])
  })

  test('for a file that is there, before anything is recorded', async () => {
    writeFileSync(file, 'mine')
    expect(await exportA()).toMatchObject({ code: 1, stderr: `Error: the file '${file}' exists already\n` })
    expect(readFileSync(file, 'utf8')).toBe('mine')
    expect(inStore(from, ({ ring }) => ring.describe(a).revision)).toBe(1)
  })

  test('for a folder that is not there, before anything is recorded', async () => {
    file = join(folder, 'nowhere', 'a.age')
    const message = `Error: open ${file}: no such file or directory\n`
    expect(await exportA()).toMatchObject({ code: 1, stderr: message })
    expect(inStore(from, ({ ring }) => ring.describe(a).revision)).toBe(1)
  })

  test('for a short passphrase, two that differ, and a store that is not there', async () => {
    const args = ['key', 'export', '--config', from, 'a', file]
    const stderrWith = async (...passwords: string[]) => (await runKes(args, { passwords })).stderr
    expect(await stderrWith('short', 'short')).toBe('Error: the passphrase has fewer than 8 bytes\n')
    expect(await stderrWith('correct horse', 'wrong horse')).toBe("Error: passphrases don't match\n")
    const nowhere = write('no.yml', `fs: {path: ${join(folder, 'nowhere')}}`)
    const { stderr } = await runKes(['key', 'export', '--config', nowhere, 'a', file])
    expect(stderr).toBe(`Error: the store '${join(folder, 'nowhere')}' does not exist\n`)
  })

  test.each([
    ['key export', 'no key name specified'],
    ['key export a', 'no file specified'],
    ['key export a f', 'no config file specified'],
  ])('without its arguments: kes %s', async (args, message) => {
    expect((await runKes(args)).stderr).toBe(`Error: ${message}. See 'kes key export --help'\n`)
  })
})

describe('kes key import --sealed is refused', () => {
  beforeEach(async () => {
    await exportA()
  })

  test('for a name that is taken or reserved, unless --reuse takes that one', async () => {
    const exists = { code: 1, stderr: 'Error: failed to import "a": key already exists\n' }
    expect(await importInto(from)).toMatchObject(exists)
    await makeAndErase(to)
    expect(await importInto(to)).toMatchObject(exists)
    expect(await importInto(to, '--reuse')).toMatchObject(OK)
  })

  test('for another identity, a changed byte and another file', async () => {
    const bytes = readFileSync(file)
    writeFileSync(identityFile, await generateIdentity())
    expect(await importInto(to)).toMatchObject(REFUSED)
    writeFileSync(file, 'no age file')
    expect(await importInto(to)).toMatchObject(REFUSED)
    writeFileSync(file, bytes)
    expect(await importInto(to)).toMatchObject(REFUSED)
  })

  test('for a file whose last byte was changed', async () => {
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(~(bytes.at(-1) ?? 0), bytes.length - 1))
    expect((await importInto(to)).stderr).toBe('Error: the key is damaged or cut off\n')
  })

  test('for a store that is not there, and none is made', async () => {
    const path = join(folder, 'nowhere.db')
    const nowhere = write('no.yml', `sqlite: {path: ${path}, key_file: ${join(folder, 'root.key')}}`)
    const message = `Error: the store '${path}' does not exist\n`
    expect(await importInto(nowhere)).toMatchObject({ code: 1, stderr: message })
    expect(existsSync(path)).toBe(false)
  })

  test('without a config, or with a key beside it', async () => {
    const see = "See 'kes key import --help'\n"
    const { stderr } = await runKes(['key', 'import', '--sealed', file])
    expect(stderr).toBe(`Error: no config file specified. ${see}`)
    expect((await importInto(to, 'a', 'b')).stderr).toBe(`Error: too many arguments. ${see}`)
  })
})

test.each([
  ['--config x a KEY', "'--config' has no effect without '--sealed'"],
  ['--reuse a KEY', "'--reuse' has no effect without '--sealed'"],
  ['--identity-file x a KEY', "'--identity-file' has no effect without '--sealed'"],
  ['--passphrase-file x a KEY', "'--passphrase-file' has no effect without '--sealed'"],
  ['--sealed x --config x -k', "'--insecure' has no effect with '--sealed'"],
  ['--sealed x --config x --ca x', "'--ca' has no effect with '--sealed'"],
])('kes key import %s is refused', async (args, message) => {
  const kes = new FakeKes()
  const key = Buffer.alloc(32).toString('base64')
  expect(await runKes(`key import ${args.replace('KEY', key)}`, { kes })).toMatchObject({
    code: 1,
    stderr: `Error: ${message}. See 'kes key import --help'\n`,
  })
  expect(kes.calls).toEqual([])
})

describe('the text of a sealed key', () => {
  const key: Omit<TransferredKey, 'hmacKey'> = {
    name: a,
    algorithm: 'ChaCha20',
    createdAt: '2026-01-01T00:00:00Z',
    createdBy: 'x',
    state: 'disabled',
    secretKey: Buffer.alloc(32, 1),
  }

  test('is read back as it was written, with an HMAC key or without', () => {
    for (const hmacKey of [Buffer.alloc(32, 2), undefined]) {
      expect(decodeSealedKey(encodeSealedKey({ ...key, hmacKey }))).toEqual({ ...key, hmacKey })
    }
  })

  test.each([
    ['latchkey_key', 2],
    ['algorithm', 'ROT13'],
    ['created_at', 'today'],
    ['created_by', 7],
    ['state', 'erased'],
    ['key', 'c2hvcnQ='],
    ['key', '?'],
    ['hmac_key', 'c2hvcnQ='],
    ['hmac_key', undefined],
  ])('is refused where %s is %s', (field, value) => {
    const fields = JSON.parse(encodeSealedKey({ ...key, hmacKey: Buffer.alloc(32, 2) }).toString())
    const text = JSON.stringify({ ...fields, [field]: value })
    expect(() => decodeSealedKey(Buffer.from(text))).toThrow(SealedKeyError)
  })

  test('is refused where it is no JSON, or names what no key can be named', () => {
    expect(() => decodeSealedKey(Buffer.from('{'))).toThrow(SealedKeyError)
    const fields = JSON.parse(encodeSealedKey({ ...key, hmacKey: undefined }).toString())
    expect(() => decodeSealedKey(Buffer.from(JSON.stringify({ ...fields, name: '../a' })))).toThrow(
      'key name',
    )
  })
})
