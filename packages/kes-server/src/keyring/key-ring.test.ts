import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  InvalidKeySizeError,
  KeyDisabledError,
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  NotAllowedError,
  NotAuthenticError,
  RecordDamagedError,
} from '../errors.ts'
import type { Actor } from '../journal/journal.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'

const orders = parseKeyName('orders')
const alice: Actor = { identity: 'alice', ip: '192.0.2.1' }
const bob: Actor = { identity: 'bob', ip: '192.0.2.2' }
const carol: Actor = { identity: 'carol', ip: '192.0.2.3' }
const NO_CONTEXT = new Uint8Array()

function newRing(erasedNames: 'reserved' | 'free' = 'reserved') {
  const store = SqliteStore.inMemory()
  const seal = Seal.createInMemory(store)
  const journal = openJournal(store, seal)
  return { store, seal, journal, ring: new KeyRing(store, seal, journal, { erasedNames }) }
}

describe('the last use of a key', () => {
  const usedAt = ({ lastUsedAt }: { lastUsedAt?: string }) => Date.parse(lastUsedAt ?? '')

  test('is known of every key that was used, and of no other', () => {
    const { ring } = newRing()
    const before = Date.now()
    ring.create(orders, alice)
    ring.create(parseKeyName('unused'), alice)
    expect(ring.describe(orders).lastUsedAt).toBeUndefined()
    ring.use(orders)
    expect(usedAt(ring.describe(orders))).toBeGreaterThanOrEqual(before)
    const listed = ring.descriptions('', undefined, 10)
    expect(listed.map((key) => [key.name, 'lastUsedAt' in key])).toEqual([
      ['orders', true],
      ['unused', false],
    ])
  })

  test('moves with each use in a later turn, and stays when the key leaves memory', async () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    ring.use(orders)
    const first = usedAt(ring.describe(orders))
    await new Promise((resolve) => setTimeout(resolve, 10))
    ring.use(orders)
    const second = usedAt(ring.describe(orders))
    expect(second).toBeGreaterThan(first)
    ring.setState(orders, 'disabled', bob)
    ring.forgetAll()
    expect(() => ring.use(orders)).toThrow(KeyDisabledError)
    expect(usedAt(ring.describe(orders))).toBe(second)
  })

  test('is not that of an erased key of the same name', async () => {
    const { ring } = newRing('free')
    ring.create(orders, alice)
    ring.use(orders)
    await ring.erase(orders, bob)
    ring.create(orders, alice)
    expect(ring.describe(orders).lastUsedAt).toBeUndefined()
  })
})

describe('a disabled key', () => {
  test('can not be used, although it was in use a moment before', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    ring.use(orders)
    ring.setState(orders, 'disabled', bob)
    expect(() => ring.use(orders)).toThrow(KeyDisabledError)
  })

  test('opens again what it encrypted, once it is enabled', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    const ciphertext = ring.use(orders).cipher.encrypt(Buffer.from('x'), NO_CONTEXT)
    ring.setState(orders, 'disabled', bob)
    ring.setState(orders, 'enabled', carol)
    expect(ring.use(orders).cipher.decrypt(ciphertext, NO_CONTEXT).toString()).toBe('x')
  })

  test('is described, with who disabled it', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    ring.setState(orders, 'disabled', bob)
    expect(ring.describe(orders)).toMatchObject({
      state: 'disabled',
      revision: 2,
      createdBy: 'alice',
      changedBy: 'bob',
    })
  })

  test('stays as it is, revision included, when it is disabled again', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    expect(ring.setState(orders, 'disabled', bob)).toBe(true)
    expect(ring.setState(orders, 'disabled', carol)).toBe(false)
    expect(ring.describe(orders)).toMatchObject({ revision: 2, changedBy: 'bob' })
  })

  test('lets go of the key that an operation still holds', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    const held = ring.use(orders)
    ring.setState(orders, 'disabled', bob)
    expect(() => held.cipher.generate(NO_CONTEXT)).toThrow()
    expect(() => held.hmac?.mac(NO_CONTEXT)).toThrow()
  })
})

describe('an erased key', () => {
  test('is gone for use, description and listing', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    ring.use(orders)
    ring.erase(orders, bob)
    expect(() => ring.use(orders)).toThrow(KeyNotFoundError)
    expect(() => ring.describe(orders)).toThrow(KeyNotFoundError)
    expect(() => ring.erase(orders, bob)).toThrow(KeyNotFoundError)
    expect(ring.names('', undefined, 10)).toEqual([])
  })

  test('leaves its name reserved, and only a reuse takes it', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    ring.erase(orders, bob)
    expect(() => ring.create(orders, alice)).toThrow(KeyNameReservedError)
    ring.create(orders, alice, { reuse: true })
    expect(ring.describe(orders).revision).toBe(1)
  })

  test('leaves its name free where the config says so', () => {
    const { ring } = newRing('free')
    ring.create(orders, alice)
    ring.erase(orders, bob)
    ring.create(orders, alice)
    expect(ring.describe(orders).state).toBe('enabled')
  })

  test('opens nothing under a new key of its name', () => {
    const { ring } = newRing('free')
    ring.create(orders, alice)
    const { ciphertext } = ring.use(orders).cipher.generate(NO_CONTEXT)
    ring.erase(orders, bob)
    ring.create(orders, alice)
    expect(() => ring.use(orders).cipher.decrypt(ciphertext, NO_CONTEXT)).toThrow(NotAuthenticError)
  })
})

describe('making keys', () => {
  test('refuses a name that is taken, and leaves the key alone', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    const { plaintext, ciphertext } = ring.use(orders).cipher.generate(NO_CONTEXT)
    expect(() => ring.create(orders, bob)).toThrow(KeyExistsError)
    expect(() => ring.create(orders, bob, { reuse: true })).toThrow(KeyExistsError)
    expect(ring.use(orders).cipher.decrypt(ciphertext, NO_CONTEXT)).toEqual(plaintext)
  })

  test('wipes the bytes of an import, also when it fails', () => {
    const { ring } = newRing()
    const secretKey = Buffer.alloc(32, 7)
    ring.create(orders, alice, {}, { algorithm: 'ChaCha20', secretKey })
    expect(secretKey).toEqual(Buffer.alloc(32))
    const again = Buffer.alloc(32, 7)
    expect(() => ring.create(orders, alice, {}, { algorithm: 'AES256', secretKey: again })).toThrow(
      KeyExistsError,
    )
    expect(again).toEqual(Buffer.alloc(32))
  })

  test.each([0, 16, 31, 33])('refuses an imported key of %i bytes', (length) => {
    const { ring } = newRing()
    const imported = { algorithm: 'AES256', secretKey: Buffer.alloc(length) } as const
    expect(() => ring.create(orders, alice, {}, imported)).toThrow(InvalidKeySizeError)
  })
})

describe('a record that was edited', () => {
  function damagedRing() {
    const { ring, store } = newRing()
    ring.create(orders, alice)
    ring.setState(orders, 'disabled', alice)
    const row = store.read(orders)
    if (row === undefined) throw new Error('the key is not there')
    store.replace({ ...row, state: 'enabled' }, row.revision)
    return { ring, store }
  }

  test('is not enabled by the edit: it can neither be used nor described', () => {
    const { ring } = damagedRing()
    expect(() => ring.use(orders)).toThrow(RecordDamagedError)
    expect(() => ring.describe(orders)).toThrow(RecordDamagedError)
    expect(() => ring.setState(orders, 'enabled', bob)).toThrow(RecordDamagedError)
  })

  test('is listed as damaged, and harms no other key', () => {
    const { ring } = damagedRing()
    const other = parseKeyName('other')
    ring.create(other, alice)
    expect(ring.descriptions('', undefined, 10)).toMatchObject([
      { name: 'orders', state: 'damaged' },
      { name: 'other', state: 'enabled' },
    ])
    expect(ring.use(other)).toBeDefined()
  })

  test('can be disabled, and then enabled on purpose', () => {
    const { ring } = damagedRing()
    expect(ring.setState(orders, 'disabled', bob)).toBe(true)
    ring.setState(orders, 'enabled', bob)
    expect(ring.use(orders)).toBeDefined()
  })

  test('can be erased', () => {
    const { ring } = damagedRing()
    ring.erase(orders, bob)
    expect(() => ring.use(orders)).toThrow(KeyNotFoundError)
  })

  test('with damaged sealed bytes can be disabled and erased, but never enabled', () => {
    const { ring, store } = newRing()
    ring.create(orders, alice)
    const row = store.read(orders)
    if (row === undefined) throw new Error('the key is not there')
    const sealed = Buffer.from(row.sealed)
    sealed[20] = (sealed[20] ?? 0) ^ 1
    store.replace({ ...row, sealed }, row.revision)
    expect(() => ring.use(orders)).toThrow(RecordDamagedError)
    ring.setState(orders, 'disabled', bob)
    expect(() => ring.use(orders)).toThrow(KeyDisabledError)
    expect(() => ring.setState(orders, 'enabled', bob)).toThrow(RecordDamagedError)
    ring.erase(orders, bob)
  })
})

describe('many keys at once', () => {
  const names = ['a', 'a-1', 'a-2', 'b'].map(parseKeyName)

  function ringOf(names: readonly KeyName[]) {
    const { ring } = newRing()
    for (const name of names) ring.create(name, alice)
    return ring
  }

  test('are disabled by prefix, and the others are not', () => {
    const ring = ringOf(names)
    expect(ring.setStateOfAll('a-', 'disabled', bob, () => true)).toEqual({
      matched: 2,
      changed: 2,
      damaged: 0,
      pending: 0,
    })
    expect(names.map((name) => ring.describe(name).state)).toEqual([
      'enabled',
      'disabled',
      'disabled',
      'enabled',
    ])
  })

  test('are all left alone if one of them is refused', () => {
    const ring = ringOf(names)
    expect(() => ring.setStateOfAll('', 'disabled', bob, (name) => name !== 'b')).toThrow(NotAllowedError)
    expect(names.map((name) => ring.describe(name).state)).toEqual(Array(4).fill('enabled'))
    expect(ring.use(parseKeyName('a'))).toBeDefined()
  })

  test('are disabled although the record of one of them is damaged', () => {
    const { ring, store } = newRing()
    for (const name of names) ring.create(name, alice)
    const broken = parseKeyName('a')
    const row = store.read(broken)
    if (row === undefined) throw new Error('the key is not there')
    store.replace({ ...row, sealed: row.sealed.slice(1) }, row.revision)
    expect(ring.setStateOfAll('', 'disabled', bob, () => true)).toEqual({
      matched: 4,
      changed: 4,
      damaged: 0,
      pending: 0,
    })
    expect(ring.setStateOfAll('', 'enabled', bob, () => true)).toEqual({
      matched: 4,
      changed: 3,
      damaged: 1,
      pending: 0,
    })
    expect(ring.describe(broken).state).toBe('disabled')
  })

  test('are listed in the order of their bytes, page by page', () => {
    const ring = ringOf(['b', 'A', '_x', 'a', 'a-', 'Z'].map((text) => text as KeyName))
    const first = ring.names('', undefined, 4)
    expect([...first, ...ring.names('', first.at(-1), 4)]).toEqual(['A', 'Z', '_x', 'a', 'a-', 'b'])
  })
})

describe('keys in memory', () => {
  test('that were not used between two calls are dropped, and come back when they are used', () => {
    const { ring } = newRing()
    ring.create(orders, alice)
    const held = ring.use(orders)
    ring.forgetUnused()
    expect(ring.use(orders)).toBe(held)
    ring.forgetUnused()
    ring.forgetUnused()
    expect(() => held.cipher.generate(NO_CONTEXT)).toThrow()
    expect(ring.use(orders)).toBeDefined()
  })
})

test('a ring agrees with a model of states, whatever is done in whatever order', () => {
  const pool = ['x', 'y'].map(parseKeyName)
  const step = fc.record({
    name: fc.constantFrom(...pool),
    action: fc.constantFrom('create', 'reuse', 'enable', 'disable', 'erase', 'use', 'forget'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { ring } = newRing()
      const model = new Map<KeyName, 'enabled' | 'disabled' | 'erased'>()
      for (const { name, action } of steps) {
        const before = model.get(name)
        const exists = before === 'enabled' || before === 'disabled'
        if (action === 'create' || action === 'reuse') {
          const make = () => ring.create(name, alice, { reuse: action === 'reuse' })
          if (exists) expect(make).toThrow(KeyExistsError)
          else if (before === 'erased' && action === 'create') expect(make).toThrow(KeyNameReservedError)
          else {
            make()
            model.set(name, 'enabled')
          }
        } else if (action === 'use') {
          if (before === 'enabled')
            expect(ring.use(name).cipher.generate(NO_CONTEXT).plaintext).toHaveLength(32)
          else
            expect(() => ring.use(name)).toThrow(before === 'disabled' ? KeyDisabledError : KeyNotFoundError)
        } else if (action === 'forget') {
          ring.forgetAll()
        } else {
          const act = () => {
            if (action === 'erase') ring.erase(name, bob)
            else ring.setState(name, `${action}d` as 'enabled' | 'disabled', bob)
          }
          if (!exists) expect(act).toThrow(KeyNotFoundError)
          else {
            act()
            model.set(name, action === 'erase' ? 'erased' : (`${action}d` as 'enabled' | 'disabled'))
          }
        }
      }
    }),
    { numRuns: 150 },
  )
})
