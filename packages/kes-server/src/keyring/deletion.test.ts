// Keys that wait for their deletion: what may be done with them, and when they are erased.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ErasePendingError,
  KeyExistsError,
  KeyNotFoundError,
  KeyPendingDeletionError,
  RecordDamagedError,
  WaitingPeriodTooShortError,
  WrongStateError,
} from '../errors.ts'
import type { Actor } from '../journal/journal.ts'
import { JournalVerifier } from '../journal/verify.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { DeletionClock } from './deletion-clock.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
const orders = parseKeyName('orders')
const alice: Actor = { identity: 'alice', ip: '192.0.2.1' }
const bob: Actor = { identity: 'bob', ip: '192.0.2.2' }

/** The clocks of a machine that is never slept. */
const time = { wallMs: 0, monotonicMs: 0 }
const clocks = { wallMs: () => time.wallMs, monotonicMs: () => time.monotonicMs }

let folder: string
let keyFile: Buffer
let open: ReturnType<typeof openRing>
let refused: KeyName[]

beforeEach(() => {
  Object.assign(time, { wallMs: Date.parse('2026-11-26T00:00:00Z'), monotonicMs: 1_000_000 })
  folder = mkdtempSync(join(tmpdir(), 'deletion-'))
  keyFile = randomBytes(32)
  refused = []
  open = openRing()
})

afterEach(() => {
  open.store.close()
  rmSync(folder, { recursive: true })
})

function openRing(waitingPeriodMs = 0) {
  const store = SqliteStore.open(join(folder, 'keys.db'))
  const secret = { kind: 'key file', bytes: Buffer.from(keyFile) } as const
  const seal = Seal.isSetUp(store) ? Seal.open(store, secret) : Seal.create(store, secret)
  const journal = openJournal(store, seal)
  const clock = new DeletionClock(store, seal, clocks)
  clock.resume()
  const options = { erasedNames: 'reserved', waitingPeriodMs, deletionClock: clock } as const
  return { store, journal, clock, ring: new KeyRing(store, seal, journal, options) }
}

/** The server stops, having saved its running time or, if it was killed, not. */
function restart({ killed = false, waitingPeriodMs = 0 } = {}): void {
  if (!killed) open.clock.save()
  open.store.close()
  open = openRing(waitingPeriodMs)
}

function pass(ms: number): void {
  time.wallMs += ms
  time.monotonicMs += ms
}

function edit(sql: string): void {
  open.store.close()
  const db = new Database(join(folder, 'keys.db'))
  db.exec(sql)
  db.close()
  open = openRing()
}

function eraseDue(): string[] {
  return open.ring.eraseDue((name) => refused.push(name)).map(({ name }) => name)
}

function schedule(name = orders, waitingMs = WEEK_MS) {
  open.ring.create(name, alice)
  return open.ring.schedule(name, waitingMs, bob)
}

function verified(): void {
  const verifier = new JournalVerifier(open.journal.publicKey)
  for (const { entry, signature, number, name } of open.journal.read(0, 10_000)) {
    verifier.nextFiled({ bytes: entry, signature, number, name })
  }
  verifier.end()
}

describe('while a key waits', () => {
  test('it is refused for every use, and says until when', () => {
    open.ring.create(orders, alice)
    open.ring.use(orders)
    const described = open.ring.schedule(orders, WEEK_MS, bob)
    expect(described).toMatchObject({ state: 'pending', revision: 2, deletionAt: '2026-12-03T00:00:00Z' })
    expect(open.ring.describe(orders)).toEqual(described)
    expect(() => open.ring.use(orders)).toThrow(KeyPendingDeletionError)
    restart()
    expect(() => open.ring.use(orders)).toThrow(KeyPendingDeletionError)
    const { lastUsedAt: _, ...kept } = described // Kept beside the store, by whoever opens it.
    expect(open.ring.describe(orders)).toEqual(kept)
    expect(() => open.ring.create(orders, alice)).toThrow(KeyExistsError)
  })

  test('it can not be enabled, disabled, scheduled again or deleted', () => {
    schedule()
    const before = open.store.read(orders)
    expect(() => open.ring.setState(orders, 'enabled', bob)).toThrow(WrongStateError)
    expect(() => open.ring.setState(orders, 'disabled', bob)).toThrow(WrongStateError)
    expect(() => open.ring.schedule(orders, DAY_MS, bob)).toThrow(WrongStateError)
    expect(() => open.ring.erase(orders, bob)).toThrow(WrongStateError)
    expect(open.store.read(orders)).toEqual(before)
  })

  test('a pattern leaves it as it is, counts it, and changes the others', () => {
    schedule()
    open.ring.create(parseKeyName('other'), alice)
    expect(open.ring.setStateOfAll('o', 'disabled', bob, () => true)).toEqual({
      matched: 2,
      changed: 1,
      damaged: 0,
      pending: 1,
    })
    expect(open.ring.describe(orders).state).toBe('pending')
  })

  test('a cancellation leaves it disabled, and it can be enabled then', () => {
    schedule()
    open.ring.cancelDeletion(orders, alice)
    expect(open.ring.describe(orders)).toMatchObject({ state: 'disabled', revision: 3, changedBy: 'alice' })
    expect(open.ring.describe(orders).deletionAt).toBeUndefined()
    open.ring.setState(orders, 'enabled', alice)
    open.ring.use(orders)
    pass(2 * WEEK_MS)
    expect(eraseDue()).toEqual([])
  })

  test('what is not scheduled can not be canceled', () => {
    expect(() => open.ring.cancelDeletion(orders, bob)).toThrow(KeyNotFoundError)
    open.ring.create(orders, alice)
    expect(() => open.ring.cancelDeletion(orders, bob)).toThrow(WrongStateError)
    open.ring.setState(orders, 'disabled', bob)
    expect(() => open.ring.cancelDeletion(orders, bob)).toThrow(WrongStateError)
  })

  test('a disabled key can be scheduled, too', () => {
    open.ring.create(orders, alice)
    open.ring.setState(orders, 'disabled', alice)
    expect(open.ring.schedule(orders, DAY_MS, bob).state).toBe('pending')
  })
})

describe('the least waiting period', () => {
  test('holds for every caller, by whichever way', () => {
    open.ring.create(orders, alice)
    restart({ waitingPeriodMs: WEEK_MS })
    expect(() => open.ring.erase(orders, bob)).toThrow(WaitingPeriodTooShortError)
    expect(() => open.ring.schedule(orders, WEEK_MS - 1, bob)).toThrow(/it must be 7d or more/)
    expect(open.ring.schedule(orders, WEEK_MS, bob).state).toBe('pending')
  })

  test('that is changed later does not change what was scheduled', () => {
    schedule()
    restart({ waitingPeriodMs: 2 * WEEK_MS })
    pass(WEEK_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('does not let a damaged record be erased at once either', () => {
    open.ring.create(orders, alice)
    edit('UPDATE keys SET revision = 0')
    restart({ waitingPeriodMs: WEEK_MS })
    expect(() => open.ring.erase(orders, bob)).toThrow(WaitingPeriodTooShortError)
    expect(() => open.ring.schedule(orders, WEEK_MS, bob)).toThrow(RecordDamagedError)
  })
})

describe('when the period is over', () => {
  test('the key is erased, by the server, which names who wanted it', async () => {
    schedule()
    pass(WEEK_MS)
    expect(eraseDue()).toEqual(['orders'])
    expect(() => open.ring.describe(orders)).toThrow(KeyNotFoundError)
    const entries = open.ring.history(orders, 0, 10).map(({ entry }) => entry)
    expect(entries.map(({ action, state }) => [action, state])).toEqual([
      ['create', 'enabled'],
      ['schedule', 'pending'],
      ['erase', 'erased'],
    ])
    expect(entries[1]?.detail).toMatchObject({ deletion_at: '2026-12-03T00:00:00Z', waiting_ms: WEEK_MS })
    expect(entries[2]).toMatchObject({ identity: '', ip: '', revision: 3 })
    expect(entries[2]?.detail).toEqual({
      deletion_at: '2026-12-03T00:00:00Z',
      scheduled_by: 'bob',
      scheduled_entry: entries[1]?.number,
    })
    verified()
    expect(() => open.ring.erasureOf(orders)).toThrow(ErasePendingError)
    await open.store.purge()
    const { entry } = open.ring.erasureOf(orders)
    expect(entry).toEqual(entries[2])
    // The receipt waits for whoever asks first.
    await expect(open.ring.erase(orders, bob)).resolves.toMatchObject({ entry: { action: 'erase', ip: '' } })
    expect(() => open.ring.erase(orders, bob)).toThrow(KeyNotFoundError)
  })

  test('it is not erased a moment before', () => {
    schedule()
    pass(WEEK_MS - 1)
    expect(eraseDue()).toEqual([])
    pass(1)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('hundreds are erased, a number of them at a time', () => {
    const names = Array.from({ length: 250 }, (_, number) => parseKeyName(`key-${number}`))
    open.store.transaction(() => {
      for (const name of names) schedule(name)
    })
    pass(WEEK_MS)
    const counts: number[] = []
    for (let erased = eraseDue(); erased.length > 0; erased = eraseDue()) counts.push(erased.length)
    expect(counts).toEqual([100, 100, 50])
    expect(open.store.count()).toBe(0)
  })
})

describe('a deletion is late, never early', () => {
  test('when the wall clock jumps forward', () => {
    schedule()
    time.wallMs += 30 * DAY_MS
    expect(eraseDue()).toEqual([])
    pass(WEEK_MS - 1)
    expect(eraseDue()).toEqual([])
    pass(1)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when the wall clock jumps back', () => {
    schedule()
    time.wallMs -= 30 * DAY_MS
    pass(WEEK_MS)
    expect(eraseDue()).toEqual([])
    pass(30 * DAY_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when the clock was wrong while it was scheduled, in the past', () => {
    time.wallMs -= 30 * DAY_MS
    schedule()
    time.wallMs += 30 * DAY_MS
    expect(eraseDue()).toEqual([])
    pass(WEEK_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when the server was down for longer than the period', () => {
    schedule()
    pass(DAY_MS)
    restart()
    pass(3 * WEEK_MS) // The store is open all the same in this test; but for a server that starts, this was downtime.
    open.store.close()
    open = openRing()
    expect(eraseDue()).toEqual([])
    pass(6 * DAY_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when the machine was restarted, so that its monotonic clock begins anew', () => {
    schedule()
    pass(DAY_MS)
    open.clock.save()
    open.store.close()
    time.monotonicMs = 0
    open = openRing()
    pass(6 * DAY_MS - 1)
    expect(eraseDue()).toEqual([])
    pass(1)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when the server is killed: what it had not saved is waited for again', () => {
    schedule()
    pass(DAY_MS)
    open.clock.save()
    pass(DAY_MS)
    restart({ killed: true })
    pass(5 * DAY_MS)
    expect(eraseDue()).toEqual([])
    pass(DAY_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('and not by all the time that had passed before it was scheduled, if that was never saved', () => {
    pass(100 * DAY_MS)
    schedule()
    restart({ killed: true })
    pass(WEEK_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test.each([
    ['forward', 'UPDATE running_time SET running_ms = running_ms + 864000000000'],
    ['back in the clock that it was counted by', 'UPDATE running_time SET monotonic_ms = 0'],
    ['to what is no number', "UPDATE running_time SET running_ms = -1, mac = x'00'"],
    ['away', 'DELETE FROM running_time'],
  ])('when the stored running time was set %s by hand', (_, sql) => {
    schedule()
    pass(DAY_MS)
    open.clock.save()
    edit(sql)
    pass(6 * DAY_MS)
    expect(eraseDue()).toEqual([])
    pass(DAY_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test.each([
    ['its date', 'UPDATE keys SET delete_at = 1'],
    ['its period', 'UPDATE keys SET waiting = 0, delete_at = 1'],
    ['the running time from which it waits', 'UPDATE keys SET running_from = 0, waiting = 1, delete_at = 1'],
  ])('when %s was edited by hand: the key stays, and says that it is damaged', (_, sql) => {
    schedule()
    open.ring.create(parseKeyName('other'), alice)
    open.ring.schedule(parseKeyName('other'), DAY_MS, alice)
    edit(`${sql} WHERE name = 'orders'`)
    pass(DAY_MS)
    expect(eraseDue()).toEqual(['other'])
    expect(() => open.ring.use(orders)).toThrow(RecordDamagedError)
    expect(() => open.ring.erase(orders, bob)).toThrow(WrongStateError) // By the entry that scheduled it.
    pass(WEEK_MS)
    expect(eraseDue()).toEqual([])
    expect(refused).toEqual(['orders'])
    open.ring.cancelDeletion(orders, bob)
    expect(open.ring.describe(orders)).toMatchObject({ state: 'disabled', revision: 3 })
    verified()
    open.ring.schedule(orders, DAY_MS, bob)
    pass(DAY_MS)
    expect(eraseDue()).toEqual(['orders'])
  })

  test('when a key was made one that waits by hand: it is damaged, and can be disabled', () => {
    open.ring.create(orders, alice)
    edit('UPDATE keys SET state = 2, delete_at = 1')
    pass(WEEK_MS)
    expect(eraseDue()).toEqual([])
    expect(refused).toEqual(['orders'])
    expect(() => open.ring.cancelDeletion(orders, bob)).toThrow(WrongStateError)
    expect(open.ring.setState(orders, 'disabled', bob)).toBe(true)
    expect(open.ring.describe(orders).state).toBe('disabled')
  })

  test('when a waiting key was enabled by hand: a caller may delete it when its time is over, and not before', async () => {
    schedule()
    edit('UPDATE keys SET state = 0')
    expect(() => open.ring.use(orders)).toThrow(RecordDamagedError)
    expect(() => open.ring.erase(orders, bob)).toThrow(WrongStateError)
    expect(() => open.ring.setState(orders, 'disabled', bob)).toThrow(WrongStateError)
    pass(WEEK_MS)
    expect(eraseDue()).toEqual([])
    await open.ring.erase(orders, bob)
    expect(() => open.ring.describe(orders)).toThrow(KeyNotFoundError)
  })
})
