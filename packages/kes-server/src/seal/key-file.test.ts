import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readKeyFile } from './key-file.ts'
import { UnfitSecretError } from './seal-errors.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'key-file-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

function keyFile(bytes: number, mode = 0o600): string {
  const path = join(directory, 'key')
  writeFileSync(path, Buffer.alloc(bytes, 7))
  chmodSync(path, mode)
  return path
}

test.each([32, 64 * 1024])('a private file of %i bytes is read whole', (bytes) => {
  expect(readKeyFile(keyFile(bytes))).toEqual(Buffer.alloc(bytes, 7))
})

test.each([0, 31, 64 * 1024 + 1])('a file of %i bytes is refused', (bytes) => {
  expect(() => readKeyFile(keyFile(bytes))).toThrow(UnfitSecretError)
})

test.each([0o640, 0o604, 0o620, 0o601])(
  'a file of mode %o is refused with the command that helps',
  (mode) => {
    expect(() => readKeyFile(keyFile(32, mode))).toThrow(`run chmod 600 '${join(directory, 'key')}'`)
  },
)

test('a directory, a device and a missing file are refused by name', () => {
  expect(() => readKeyFile(directory)).toThrow(/not a regular file/)
  expect(() => readKeyFile('/dev/zero')).toThrow(/not a regular file/)
  expect(() => readKeyFile(join(directory, 'none'))).toThrow(/none' can not be read/)
})
