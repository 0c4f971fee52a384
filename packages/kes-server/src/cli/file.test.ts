import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assertCanMake, readTextFile, writeFileAtomically } from './file.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kes-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test("an error of the disk is told in Go's words, not as a code", () => {
  const loop = join(folder, 'loop')
  symlinkSync(loop, loop)
  const long = join(folder, 'x'.repeat(300))
  const write = (path: string) => writeFileAtomically(path, 'text', { mode: 0o600, replace: true })
  expect(() => readTextFile(folder)).toThrow(`open ${folder}: is a directory`)
  expect(() => readTextFile(loop)).toThrow(`open ${loop}: too many levels of symbolic links`)
  expect(() => write(long)).toThrow(`open ${long}: file name too long`)
  expect(() => write('/proc/x')).toThrow('open /proc/x: no such file or directory')
  expect(() => write('/dev/null/x')).toThrow('open /dev/null/x: not a directory')
  expect(() => write('/sys/x')).toThrow(
    /^open \/sys\/x: (?:read-only file system|permission denied|operation not permitted)$/,
  )
  expect(() => assertCanMake('/nowhere/x')).toThrow('open /nowhere/x: no such file or directory')
})
