import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WriteGate } from './write-gate.ts'

let folder: string
let isLocked: boolean
let gate: WriteGate
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-gate-'))
  isLocked = false
  gate = new WriteGate(join(folder, 'keys.db'), { isLocked: () => isLocked, lockTimeoutMs: 200 })
})
afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

test('a disk that has just taken a write is not asked again, for a moment', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  expect(gate.pass()).toBeInstanceOf(Promise)
  await gate.pass()
  expect(gate.pass()).toBeUndefined()
  vi.advanceTimersByTime(100)
  const passed = gate.pass()
  expect(passed).toBeInstanceOf(Promise)
  gate.noteWritten()
  expect(gate.pass()).toBeInstanceOf(Promise) // Not past the one who waits.
  await passed
  gate.close()
})

test('the file that the disk is asked by has no name', async () => {
  await gate.pass()
  expect(readdirSync(folder)).toEqual([])
  gate.close()
})

test('another program that writes is waited for, also when the disk has just taken a write', async () => {
  gate.noteWritten()
  isLocked = true
  setTimeout(() => {
    isLocked = false
  }, 50)
  const passed = gate.pass()
  expect(passed).toBeInstanceOf(Promise)
  await passed
  expect(isLocked).toBe(false)
  gate.close()
})

test('another program that does not end writing is waited for no longer than is said', async () => {
  isLocked = true
  await expect(gate.pass()).rejects.toThrow('another process does not end writing')
  isLocked = false
  await gate.pass()
  gate.close()
})

test('a file that a killed server has left is replaced, and a link that somebody has put there not followed', async () => {
  const other = join(folder, 'other')
  writeFileSync(other, 'content')
  symlinkSync(other, join(folder, 'second.db.probe'))
  const second = new WriteGate(join(folder, 'second.db'), { isLocked: () => false, lockTimeoutMs: 0 })
  await second.pass()
  expect(readFileSync(other, 'utf8')).toBe('content')
  expect(readdirSync(folder)).toEqual(['other'])
  second.close()
  gate.close()
})

test('those who wait are let through in the order in which they came', async () => {
  const events: string[] = []
  const enter = async (name: string) => {
    await gate.pass()
    events.push(name)
  }
  isLocked = true
  const first = enter('first')
  await new Promise((resolve) => setTimeout(resolve, 20))
  isLocked = false // The gate looks again a moment later.
  gate.noteWritten()
  await Promise.all([first, enter('second'), enter('third')])
  expect(events).toEqual(['first', 'second', 'third'])
  gate.close()
})

test('a gate that is closed while its disk is asked gives the file back afterwards, and lets all through', async () => {
  const passed = [gate.pass(), gate.pass()]
  const before = readdirSync('/proc/self/fd').length
  gate.close()
  expect(readdirSync('/proc/self/fd')).toHaveLength(before)
  await Promise.all(passed)
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThan(before)
  expect(gate.pass()).toBeUndefined()
})
