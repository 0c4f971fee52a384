import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashOf, type SignedEntry, signEntry } from './entry.ts'
import { type EntryFacts, Journal, type JournalHead } from './journal.ts'
import { formatHead, JournalBrokenError, JournalVerifier, parseHead } from './verify.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const forger = generateKeyPairSync('ed25519')
const storeId = Buffer.alloc(16, 1)
/** How many attacks are tried; more with `JOURNAL_ATTACKS=100000`. */
const ATTACKS = Number(process.env.JOURNAL_ATTACKS ?? 300)

function facts(revision: number): EntryFacts {
  return {
    time: '2026-11-24T04:00:00Z',
    action: revision === 1 ? 'create' : revision % 2 === 0 ? 'disable' : 'enable',
    name: 'orders',
    keyId: Buffer.alloc(16, 9),
    algorithm: 'AES256',
    state: revision % 2 === 0 ? 'disabled' : 'enabled',
    revision,
    identity: 'alice',
    ip: '192.0.2.1',
    createdAt: '2026-11-24T04:00:00Z',
    createdBy: 'alice',
    fingerprint: undefined,
  }
}

/** @param start - revision of the first entry, by which two histories differ. */
function chain(
  length: number,
  key: KeyObject = privateKey,
  id: Uint8Array = storeId,
  start = 1,
): SignedEntry[] {
  const entries: SignedEntry[] = []
  let previous: Uint8Array = new Uint8Array(32)
  for (let number = 1; number <= length; number += 1) {
    const signed = signEntry(key, { ...facts(number + start - 1), storeId: id, number, previous })
    previous = hashOf(signed.bytes)
    entries.push(signed)
  }
  return entries
}

function verify(entries: readonly SignedEntry[], expected?: JournalHead, key = publicKey): JournalHead {
  const verifier = new JournalVerifier(key, expected)
  for (const entry of entries) verifier.next(entry)
  return verifier.end()
}

function brokenAt(
  entries: readonly SignedEntry[],
  expected?: JournalHead,
  key = publicKey,
): number | undefined {
  try {
    verify(entries, expected, key)
    return undefined
  } catch (error) {
    if (error instanceof JournalBrokenError) return error.number
    throw error
  }
}

const LENGTH = 12
const honest = chain(LENGTH)
const otherTime = chain(LENGTH, privateKey, storeId, 3)
const otherStore = chain(LENGTH, privateKey, Buffer.alloc(16, 2))
const forged = chain(LENGTH, forger.privateKey)
const last = honest[LENGTH - 1] as SignedEntry
const head: JournalHead = { number: LENGTH, hash: hashOf(last.bytes) }

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Buffer.from(bytes)
  const at = (bit >> 3) % bytes.length
  flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

const position = fc.nat(LENGTH - 1)

/** What somebody may do to an export who has not the private key, and the number that must be named. */
const attack = fc.oneof(
  fc.record({ at: position, bit: fc.nat(4000), part: fc.constantFrom('bytes', 'signature') }).map((how) => {
    const entries = honest.map((entry, index) =>
      index === how.at ? { ...entry, [how.part]: flip(entry[how.part as 'bytes'], how.bit) } : entry,
    )
    return { entries, number: how.at + 1 }
  }),
  fc.tuple(fc.nat(LENGTH - 2), fc.integer({ min: 1, max: LENGTH })).map(([at, count]) => {
    const cut = Math.min(count, LENGTH - 1 - at) // The end is another attack: only an expected head shows it.
    return { entries: honest.toSpliced(at, cut), number: at + 1 }
  }),
  fc
    .tuple(position, position)
    .filter(([one, other]) => one !== other)
    .map(([one, other]) => {
      const [low, high] = [Math.min(one, other), Math.max(one, other)]
      const [first, second] = [honest[low] as SignedEntry, honest[high] as SignedEntry]
      return { entries: honest.with(low, second).with(high, first), number: low + 1 }
    }),
  fc
    .tuple(position, position, fc.constantFrom(honest, otherTime, otherStore, forged))
    .filter(([at, from, source]) => source[from] !== honest[at])
    .map(([at, from, source]) => {
      return { entries: honest.toSpliced(at, 0, source[from] as SignedEntry), number: at + 1 }
    })
    // The first entry of another history is as good as ours until the second does not follow it.
    .map((made) => ({ ...made, isLate: true })),
  position.map((at) => {
    // Edited, and everything behind it chained and signed again, with a key of the forger's own.
    return { entries: [...honest.slice(0, at), ...forged.slice(at)], number: at + 1 }
  }),
  fc.tuple(position, fc.constantFrom(otherTime, otherStore)).map(([at, source]) => {
    // The rest of another journal of the same signer: a roll-back grafted onto the present, or another store's.
    const start = Math.max(1, at)
    return { entries: [...honest.slice(0, start), ...source.slice(start)], number: start + 1 }
  }),
)

describe('a journal', () => {
  test('as it was written is verified to its head, and contains every head that it had', () => {
    expect(verify(honest)).toEqual(head)
    for (const [index, { bytes }] of honest.entries()) {
      expect(brokenAt(honest, { number: index + 1, hash: hashOf(bytes) })).toBeUndefined()
    }
  })

  test('that was edited, cut, swapped, extended or chained anew is refused, and the entry named', {
    timeout: 10_000 + 5 * ATTACKS,
  }, () => {
    fc.assert(
      fc.property(attack, (made) => {
        const number = brokenAt(made.entries)
        if (!('isLate' in made)) expect(number).toBe(made.number)
        else expect([made.number, made.number + 1]).toContain(number)
      }),
      { numRuns: ATTACKS },
    )
  })

  test('that ends early is refused if a later head was seen', () => {
    for (let length = 0; length < LENGTH; length += 1) {
      expect(brokenAt(honest.slice(0, length), head)).toBe(length + 1)
    }
  })

  test('that was rolled back and went on otherwise is refused if a head was seen', () => {
    expect(brokenAt(otherTime)).toBeUndefined()
    expect(brokenAt(otherTime, head)).toBe(LENGTH)
  })

  test('is refused by the public key of another, at its first entry', () => {
    expect(brokenAt(honest, undefined, forger.publicKey)).toBe(1)
    expect(brokenAt(forged)).toBe(1)
  })

  test('without entries is refused', () => {
    expect(brokenAt([])).toBe(1)
  })
})

test('a head comes back from its text, and no other text is one', () => {
  expect(parseHead(formatHead(head))).toEqual(head)
  for (const text of [
    '',
    '12',
    `0:${'a'.repeat(64)}`,
    `1:${'a'.repeat(63)}`,
    `1:${'A'.repeat(64)}`,
    `01:${'a'.repeat(64)}`,
  ]) {
    expect(parseHead(text)).toBeUndefined()
  }
})

test('a journal chains to what it finds, so that a damaged last entry keeps no key from being locked', () => {
  const rows: { number: number; entry: Uint8Array; signature: Uint8Array; name: string }[] = []
  const refuse = () => {
    throw new Error('not asked for')
  }
  const store = {
    journalKey: refuse,
    insertJournalKey: refuse,
    readEntries: refuse,
    namesOfEntries: refuse,
    readEntriesOf: refuse,
    readEntriesBefore: refuse,
    lastEntryOf: () => rows.at(-1),
    lastEntry: () => rows.at(-1),
    appendEntry: (row: (typeof rows)[number]) => void rows.push(row),
  }
  const journal = new Journal(store, storeId, privateKey)
  journal.append(facts(1))
  rows[0] = { ...(rows[0] as (typeof rows)[number]), entry: Buffer.from('no entry') }
  journal.append(facts(2))
  expect(journal.head().number).toBe(2)
  expect(brokenAt(rows.map(({ entry, signature }) => ({ bytes: entry, signature })))).toBe(1)
})
