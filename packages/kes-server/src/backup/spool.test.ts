import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Spool } from './spool.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('what was written in any pieces is read in any pieces', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' })),
      fc.nat(300),
      fc.nat(100),
      (texts, offset, length) => {
        const spool = new Spool(join(folder, 'x'))
        for (const text of texts) spool.write(text)
        const whole = Buffer.from(texts.join(''))
        expect(spool.length).toBe(whole.length)
        expect(spool.read(offset, length)).toEqual(whole.subarray(offset, offset + length))
        spool.close()
      },
    ),
  )
})

test('its file has no name, and one that is there is not taken', () => {
  const spool = new Spool(join(folder, 'x'))
  spool.write('text')
  expect(readdirSync(folder)).toEqual([])
  writeFileSync(join(folder, 'y'), '')
  expect(() => new Spool(join(folder, 'y'))).toThrow('EEXIST')
  spool.close()
  spool.close()
})
