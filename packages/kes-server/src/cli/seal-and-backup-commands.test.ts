// What `kes seal` and `kes backup` refuse before they ask anybody, and what they ask for.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NotAllowedError } from '@latchkey/kms-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeKes, runKes } from '../../../../test/kes-cli/harness.ts'
import { readPassphraseFile } from '../seal/passphrase-file.ts'

/** Whose identity nobody has. */
const RECIPIENT = '# nobody\nage1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm\n'

let folder: string
const file = (name: string, text = '') => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kes-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test.each([
  ['seal remove-slot', `no slot specified. See 'kes seal remove-slot --help'`],
  ['seal remove-slot x', `invalid slot: "x". See 'kes seal remove-slot --help'`],
  ['seal remove-slot 0', `invalid slot: "0". See 'kes seal remove-slot --help'`],
  ['seal rotate-root --slot 2', `invalid argument "2" for "--slot" flag. See 'kes seal rotate-root --help'`],
  [
    'seal rotate-root --slot 2=',
    `invalid argument "2=" for "--slot" flag. See 'kes seal rotate-root --help'`,
  ],
  ['seal add-slot --passphrase-file a --key-file b --unlock-key-file c', 'open c: no such file or directory'],
  ['seal add-slot', 'reading password: inappropriate ioctl for device'],
  ['backup create', `no backup file specified. See 'kes backup create --help'`],
  ['backup create --recipient age1 /dev/null', "the file '/dev/null' exists already"],
  ['backup create --recipient age1 /nowhere/x', 'open /nowhere/x: no such file or directory'],
  ['backup create --recipient age1 /dev/null/x', 'open /dev/null/x: not a directory'],
  ['backup verify', `no backup file specified. See 'kes backup verify --help'`],
  ['backup verify none', 'open none: no such file or directory'],
  ['backup restore', `no backup file specified. See 'kes backup restore --help'`],
  ['backup restore x', `no config file specified. See 'kes backup restore --help'`],
])('kes %s is refused', async (args, message) => {
  const kes = new FakeKes()
  expect(await runKes(args, { kes })).toMatchObject({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
  expect(kes.calls).toEqual([])
})

test('a new passphrase is asked for twice, and must be the same', async () => {
  const kes = new FakeKes()
  const passwords = () => ['opens it', 'correct horse', 'correct horse']
  expect(await runKes('seal add-slot --label safe', { kes, passwords: passwords() })).toMatchObject({
    code: 0,
  })
  expect(kes.calls).toEqual(["add slot 'safe' passphrase correct horse unlocked by passphrase opens it"])
  const differing = await runKes('seal add-slot', { kes, passwords: ['opens it', 'one', 'other'] })
  expect(differing).toMatchObject({ code: 1, stderr: "Error: passphrases don't match\n" })
})

test('a passphrase is read from a file without its line end, or from the first line of the standard input', async () => {
  const kes = new FakeKes()
  const next = file('next', 'battery staple\r\n')
  const args = `seal change-passphrase --passphrase-file - --new-passphrase-file ${next}`
  expect(await runKes(args, { kes, stdin: 'correct horse\nmore\n' })).toMatchObject({ code: 0 })
  expect(kes.calls).toEqual(['change passphrase correct horse to passphrase battery staple'])
  const empty = await runKes(`seal change-passphrase --passphrase-file ${file('empty', '\n')}`, { kes })
  expect(empty).toMatchObject({
    code: 1,
    stderr: `Error: the passphrase file '${join(folder, 'empty')}' must have 1 to 65536 bytes\n`,
  })
})

test('a passphrase of any bytes is sent as a server reads it from the same file', async () => {
  const kes = new FakeKes()
  const sent: Uint8Array[] = []
  kes.changeSealPassphrase = async (before, next) => {
    sent.push(before, next)
    return { id: 1, isErased: true }
  }
  const bytes = Buffer.from([0xff, 0x0d, 0x00, 0xfe])
  for (const name of ['old', 'new'])
    writeFileSync(join(folder, name), Buffer.concat([bytes, Buffer.from('\n')]))
  const args = `seal change-passphrase --passphrase-file ${join(folder, 'old')} --new-passphrase-file`
  expect(await runKes(`${args} ${join(folder, 'new')}`, { kes })).toMatchObject({ code: 0 })
  const read = readPassphraseFile(join(folder, 'new'))
  expect(read).toEqual(bytes)
  expect(sent.map((passphrase) => Buffer.from(passphrase))).toEqual([read, read])
  expect(await runKes(`${args} -`, { kes, stdin: '\ufffd\n' })).toMatchObject({
    code: 1,
    stderr: 'Error: the passphrase in the standard input is not UTF-8: put it into a file\n',
  })
})

test('a new key file is refused as the server would refuse it, before anybody is asked', async () => {
  const kes = new FakeKes()
  const path = file('root.key', 'k'.repeat(32))
  const add = () => runKes(`seal add-slot --key-file ${path}`, { kes, passwords: ['opens it'] })
  const refused = async (stderr: string) => {
    expect(await add()).toMatchObject({ code: 1, stderr: `Error: ${stderr}\n` })
    expect(kes.calls).toEqual([])
  }
  chmodSync(path, 0o644)
  await refused(`the key file '${path}' is open to other users: run chmod 600 '${path}'`)
  chmodSync(path, 0o600)
  expect(await add()).toMatchObject({ code: 0 })
  kes.calls.length = 0
  writeFileSync(path, 'short')
  await refused(`the key file '${path}' has 5 bytes: it must have 32 to 65536`)
  rmSync(path)
  await refused(`open ${path}: no such file or directory`)
})

test('a rotation asks for the passphrases of slots that are kept, and for nothing of the own one', async () => {
  const kes = new FakeKes()
  expect(await runKes('seal rotate-root', { kes, passwords: ['correct horse'] })).toMatchObject({ code: 0 })
  expect(await runKes('seal rotate-root --remove 2', { kes })).toMatchObject({ code: 0 })
  const safe = file('safe', 'from a file')
  expect(await runKes(`seal rotate-root --slot 2=${safe}`, { kes })).toMatchObject({ code: 0 })
  expect(kes.calls).toEqual([
    'rotate keep [2 by passphrase correct horse] remove []',
    'rotate keep [] remove [2]',
    'rotate keep [2 by passphrase from a file] remove []',
  ])
})

test('a bar fills on a terminal, and nowhere else', async () => {
  const backup = join(folder, 'x.age')
  const create = (isTerminal: boolean) =>
    runKes(`backup create --recipients-file ${file('to', RECIPIENT)} ${backup}`, {
      kes: new FakeKes(),
      isTerminal,
    })
  const shown = await create(true)
  expect(shown.stderr).toContain('█'.repeat(24))
  expect(shown.stderr).toContain('100 %  7 of 7 bytes')
  rmSync(backup)
  expect(await create(false)).toMatchObject({ code: 0, stderr: '' })
})

test('who is not the admin is told that policies do not matter', async () => {
  const kes = new FakeKes()
  kes.describeSeal = () =>
    Promise.reject(new NotAllowedError(403, 'not authorized: insufficient permissions'))
  const { stderr } = await runKes('seal ls', { kes })
  expect(stderr).toMatch(/was refused \/v1\/seal\/describe: that is for the admin identity alone\.\n$/)
})

test('what can not be removed from the disk yet is told', async () => {
  const { stdout, stderr } = await runKes('seal remove-slot 9', { kes: new FakeKes() })
  expect(stdout).toBe('Slot 9 was removed.\n')
  expect(stderr).toContain('WARNING: what was replaced is still on the disk')
})

test('slots are printed as JSON without anything secret', async () => {
  const { stdout } = await runKes('seal ls --json', { kes: new FakeKes() })
  expect(JSON.parse(stdout)).toEqual({
    root_generation: 1,
    slots: [
      { id: 1, label: 'first', kind: 'key file', created_at: expect.any(String), is_own: true },
      {
        id: 2,
        label: 'safe',
        kind: 'passphrase',
        created_at: expect.any(String),
        argon2: { memory_kib: 65536, passes: 3, parallelism: 4 },
        is_own: false,
      },
    ],
    rotation: null,
  })
})

test('a passphrase of a backup that is too short makes none', async () => {
  const kes = new FakeKes()
  const made = await runKes(`backup create ${join(folder, 'x')}`, { kes, passwords: ['short', 'short'] })
  expect(made).toMatchObject({ code: 1, stderr: 'Error: the passphrase has fewer than 8 bytes\n' })
  expect(kes.calls).toEqual([])
})
