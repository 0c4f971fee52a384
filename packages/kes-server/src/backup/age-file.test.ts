import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AgeError, type AgeUnlock, encrypterFor, readAgeFile, writeAgeFile } from './age-file.ts'

const text = Buffer.alloc(200_000, 'content ')

let folder: string
let path: string
let identity: string
let recipient: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'age-file-'))
  path = join(folder, 'backup.age')
  identity = await generateIdentity()
  recipient = await identityToRecipient(identity)
})
afterEach(() => rmSync(folder, { recursive: true }))

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += 7000) yield text.subarray(at, at + 7000)
}

async function read(unlock: AgeUnlock = { identities: [identity] }): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(readAgeFile(path, unlock, 'backup')))
}

test('what is encrypted for two recipients is decrypted by each of their identities', async () => {
  const other = await generateIdentity()
  const recipients = [recipient, await identityToRecipient(other)]
  await writeAgeFile(path, encrypterFor({ recipients }), pieces())
  expect(await read()).toEqual(text)
  expect(await read({ identities: [other] })).toEqual(text)
  expect(readFileSync(path).includes('content content')).toBe(false)
  expect(readFileSync(path, 'latin1').startsWith('age-encryption.org/v1\n')).toBe(true)
})

test('what is encrypted by a passphrase is decrypted by it, and by no other', {
  timeout: 60_000,
}, async () => {
  await writeAgeFile(path, encrypterFor({ passphrase: 'correct horse' }), pieces())
  expect(await read({ passphrase: 'correct horse' })).toEqual(text)
  await expect(read({ passphrase: 'correct horsf' })).rejects.toThrow(/is not for this passphrase/)
  await expect(read()).rejects.toThrow(AgeError)
})

test('another identity decrypts nothing', async () => {
  await writeAgeFile(path, encrypterFor({ recipients: [recipient] }), pieces())
  await expect(read({ identities: [await generateIdentity()] })).rejects.toThrow(
    /is not for this passphrase or identity/,
  )
})

test('a file with a bit flipped anywhere, or cut off, is refused', async () => {
  await writeAgeFile(path, encrypterFor({ recipients: [recipient] }), pieces())
  const whole = readFileSync(path)
  const places = Array.from({ length: 40 }, (_, index) => Math.floor((index * whole.length) / 40))
  for (const at of [...places, whole.length - 1]) {
    const damaged = Buffer.from(whole)
    damaged[at] = (damaged[at] ?? 0) ^ 4
    writeFileSync(path, damaged)
    await expect(read(), `byte ${at}`).rejects.toThrow(AgeError)
    writeFileSync(path, whole.subarray(0, at))
    await expect(read(), `cut at ${at}`).rejects.toThrow(AgeError)
  }
})

test('a file that exists is not replaced, and one that fails leaves nothing', async () => {
  writeFileSync(path, 'mine')
  const encrypter = encrypterFor({ recipients: [recipient] })
  await expect(writeAgeFile(path, encrypter, pieces())).rejects.toThrow(/exists already/)
  expect(readFileSync(path, 'utf8')).toBe('mine')
  rmSync(path)
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield* pieces()
    throw new Error('the connection was lost')
  }
  await expect(writeAgeFile(path, encrypter, failing())).rejects.toThrow('the connection was lost')
  expect(readdirSync(folder)).toEqual([])
})

test('a disk that fails is told in words, of the file that was asked for', async () => {
  const encrypter = encrypterFor({ recipients: [recipient] })
  for (const [file, problem] of [
    [join(folder, 'nowhere', 'x.age'), 'no such file or directory'],
    ['/dev/null/x.age', 'not a directory'],
  ] as const) {
    const error = new AgeError(`the file '${file}' can not be written: ${problem}`)
    await expect(writeAgeFile(file, encrypter, pieces())).rejects.toThrow(error)
  }
  await expect(writeAgeFile(join(folder, 'x'.repeat(300)), encrypter, pieces())).rejects.toThrow(
    /can not be written: file name too long$/,
  )
  path = folder
  await expect(read()).rejects.toThrow(new AgeError('the backup can not be read: is a directory'))
})

test.each(['age1', 'ssh-ed25519 AAAA', 'AGE-SECRET-KEY-1', ''])('%j is no recipient', (text) => {
  expect(() => encrypterFor({ recipients: [text] })).toThrow(/is no age recipient/)
})

test('what is no identity is refused without showing it', async () => {
  await writeAgeFile(path, encrypterFor({ recipients: [recipient] }), pieces())
  const reading = read({ identities: ['AGE-SECRET-KEY-1SECRET'] })
  await expect(reading).rejects.toThrow(/an identity is none of age/)
  await expect(reading).rejects.not.toThrow(/SECRET1?SECRET/)
})
