import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DiskReserve } from './disk-reserve.ts'
import { Reserves } from './reserves.ts'

const RESERVE_BYTES = 8 * 2 ** 20

// It waits for the disk, which others may use, too.
vi.setConfig({ testTimeout: 60_000 })

let folder: string
let spent: number
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-reserve-'))
  spent = 0
})
afterEach(() => rmSync(folder, { recursive: true }))

const makeReserve = () => {
  return new DiskReserve(join(folder, 'reserve'), () => {
    spent += 1
  })
}

test('a reserve takes its space for real, on a file system that compresses, too', async () => {
  const reserve = makeReserve()
  expect(reserve.isThere).toBe(false)
  expect(await reserve.restore()).toBe(true)
  const { size, mode } = statSync(reserve.path)
  expect([size, mode & 0o777]).toEqual([RESERVE_BYTES, 0o600])
  expect(deflateSync(readFileSync(reserve.path)).length).toBeGreaterThan(RESERVE_BYTES)
})

test('a reserve that is there stays, also that of an earlier server', async () => {
  await makeReserve().restore()
  const before = readFileSync(join(folder, 'reserve'))
  const reserve = makeReserve()
  expect(await reserve.restore()).toBe(true)
  expect(readFileSync(reserve.path).equals(before)).toBe(true)
})

test('half a reserve, as a killed server leaves it, is made whole', async () => {
  writeFileSync(join(folder, 'reserve'), 'half')
  expect(await makeReserve().restore()).toBe(true)
  expect(statSync(join(folder, 'reserve')).size).toBe(RESERVE_BYTES)
})

test('a reserve is spent once, and told once', async () => {
  const reserve = makeReserve()
  await reserve.restore()
  expect([reserve.spend(), reserve.spend()]).toEqual([true, false])
  expect([reserve.isThere, existsSync(reserve.path), spent]).toEqual([false, false, 1])
})

test('a reserve that another process has spent is not there any more', async () => {
  const [one, other] = [makeReserve(), makeReserve()]
  await one.restore()
  await other.restore()
  one.spend()
  expect(other.spend()).toBe(false)
  expect(other.isThere).toBe(false)
})

test('audit files on the disk of the store share its reserve, which is made again and told', async () => {
  const notices: string[] = []
  const note = (message: string) => notices.push(message)
  const reserves = new Reserves({
    store: join(folder, 'store.reserve'),
    audit: join(folder, 'audit.reserve'),
    notices: { info: note, warn: note, error: note },
  })
  await reserves.keep()
  expect(reserves.audit).toBe(reserves.store)
  expect(existsSync(join(folder, 'audit.reserve'))).toBe(false)
  reserves.store?.spend()
  await expect.poll(() => reserves.audit?.isThere, { timeout: 30_000 }).toBe(true)
  await reserves.close()
  expect(notices).toEqual([
    expect.stringMatching(/was given up .* but not used until there is room again/),
    expect.stringMatching(/is there again/),
  ])
})

test('a reserve that can not be made is told once, and keeps no server from starting', async () => {
  const notices: string[] = []
  const note = (message: string) => notices.push(message)
  writeFileSync(join(folder, 'file'), '')
  const reserves = new Reserves({
    store: join(folder, 'file', 'store.reserve'),
    audit: undefined,
    notices: { info: note, warn: note, error: note },
  })
  await reserves.keep()
  await reserves.close()
  expect(reserves.store?.isThere).toBe(false)
  expect(notices).toEqual([expect.stringMatching(/can not be made: ENOTDIR/)])
})
