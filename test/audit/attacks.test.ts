/**
 * Edits, deletions, swaps, insertions and forged chains, of audit files and of the journal that signs their heads: all
 * are found, and found where they are. `AUDIT_ATTACKS=100000` tries more, `AUDIT_SEED=7` others.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../bench/load/random.ts'
import { AuditWriter } from '../../packages/kes-server/src/audit/audit-writer.ts'
import { chainLine, type Link, parseLine } from '../../packages/kes-server/src/audit/chain.ts'
import { lastHead, recordHead } from '../../packages/kes-server/src/audit/head.ts'
import { noteFields } from '../../packages/kes-server/src/audit/lines.ts'
import { AuditBrokenError, type Place, type SignedHead } from '../../packages/kes-server/src/audit/verify.ts'
import type { RawLine } from '../../packages/kes-server/src/cli/file.ts'
import { verifyAuditFiles, verifyHeads } from '../../packages/kes-server/src/cli/verify-audit.ts'
import { decodeEntry, hashOf, signEntry } from '../../packages/kes-server/src/journal/entry.ts'
import type { JournalHead } from '../../packages/kes-server/src/journal/journal.ts'
import { JournalBrokenError } from '../../packages/kes-server/src/journal/verify.ts'
import { openJournal } from '../../packages/kes-server/src/keyring/open-journal.ts'
import { Seal } from '../../packages/kes-server/src/seal/seal.ts'
import { SqliteStore } from '../../packages/kes-server/src/store/sqlite-store.ts'

const ATTACKS = Number(process.env.AUDIT_ATTACKS ?? 10_000)
const SEED = Number(process.env.AUDIT_SEED ?? 20_261_126)
const LINE_FEED = 0x0a

interface AuditFile {
  readonly name: string
  readonly lines: readonly Buffer[]
}

let publicKey: KeyObject
let honest: readonly AuditFile[]
/** As above, and further lines that no head signs yet. */
let unsignedTail: readonly AuditFile[]
let journal: readonly Buffer[]
let journalHead: JournalHead
let heads: readonly SignedHead[]

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-attacks-'))
  const store = SqliteStore.inMemory()
  const written = openJournal(store, Seal.createInMemory(store))
  const config = { maxBytes: 1500, maxAgeMs: 1e9, keep: undefined, headIntervalMs: 1e6 }
  const open = () =>
    AuditWriter.open(
      { path: join(folder, 'audit.jsonl'), ...config },
      {
        storeId: Buffer.from(written.storeId).toString('hex'),
        reserve: undefined,
        lastHead: lastHead(written),
        whenWritable: () => undefined,
        recordHead: (head) => recordHead(store, written, head),
        notices: { info: fail, warn: fail, error: fail },
      },
    )
  for (let run = 0; run < 3; run += 1) {
    const writer = await open()
    for (let count = 0; count < 9; count += 1)
      await writer.append([noteFields('INFO', `${run} ${count}`, {})])
    await writer.close()
  }
  honest = readFiles(folder)
  const last = honest.at(-1)?.lines.at(-1) ?? Buffer.alloc(0)
  const tail = continueChain(parseLine(last) as Link, 5)
  unsignedTail = honest.map((file, index) =>
    index < honest.length - 1 ? file : { ...file, lines: [...file.lines, ...tail] },
  )
  publicKey = written.publicKey
  journalHead = written.head()
  journal = written.read(0, 1000).map(({ number, name, entry, signature }) => {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
    return Buffer.from(JSON.stringify({ number, name, entry: base64(entry), signature: base64(signature) }))
  })
  heads = await verifyHeads(rawLines(journal), publicKey, journalHead)
  rmSync(folder, { recursive: true })
})

function fail(message: string): void {
  throw new Error(message)
}

function readFiles(folder: string): AuditFile[] {
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, lines: split(readFileSync(join(folder, name))).map(({ bytes }) => bytes) }))
}

function continueChain(from: Link, count: number): Buffer[] {
  const lines: Buffer[] = []
  let link = from
  for (let number = 0; number < count; number += 1) {
    const next = chainLine(link, noteFields('INFO', `tail ${number}`, {}))
    lines.push(Buffer.from(next.text.trimEnd()))
    link = next.link
  }
  return lines
}

/** As the command line reads a file. */
function split(content: Buffer): RawLine[] {
  const lines: RawLine[] = []
  let from = 0
  for (let at = content.indexOf(LINE_FEED); at >= 0; at = content.indexOf(LINE_FEED, from)) {
    lines.push({ bytes: content.subarray(from, at), isWhole: true })
    from = at + 1
  }
  if (from < content.length) lines.push({ bytes: content.subarray(from), isWhole: false })
  return lines
}

const rawLines = (lines: readonly Buffer[]): RawLine[] => lines.map((bytes) => ({ bytes, isWhole: true }))

const contentOf = (lines: readonly Buffer[]): Buffer =>
  Buffer.concat(lines.flatMap((line) => [line, Buffer.of(LINE_FEED)]))

/** One attack on audit files: what is left of them, and the numbers of the events that it concerns. */
interface Attack {
  readonly what: string
  readonly files: readonly { readonly name: string; readonly content: Buffer }[]
  readonly first: number
  readonly last: number
  /** Of what was put in: the line, from 1, in its file. */
  readonly at?: { readonly file: string | undefined; readonly line: number }
}

type Random = (below: number) => number

/** Two different numbers below `count`, in order. */
function pair(random: Random, count: number): [number, number] {
  const one = random(count)
  const other = (one + 1 + random(count - 1)) % count
  return [Math.min(one, other), Math.max(one, other)]
}

/** All lines in order, with the file that each stands in. */
function flat(files: readonly AuditFile[]): { readonly file: number; readonly line: Buffer }[] {
  return files.flatMap(({ lines }, file) => lines.map((line) => ({ file, line })))
}

function regroup(lines: readonly { readonly file: number; readonly line: Buffer }[]): Attack['files'] {
  return honest.map(({ name }, index) => ({
    name,
    content: contentOf(lines.filter(({ file }) => file === index).map(({ line }) => line)),
  }))
}

/** Another byte than the one that stands there. */
function otherByte(random: Random, byte: number): number {
  return (byte + 1 + random(255)) % 256
}

/** The line with another text and its hash made right again, and all behind it up to `end` chained to it. */
function forgeChain(from: number, end: number): { readonly file: number; readonly line: Buffer }[] {
  const lines = flat(honest)
  let previous: Link | undefined
  return lines.map(({ file, line }, index) => {
    if (index < from || index >= end) return { file, line }
    const parsed = parseLine(line)
    const before = previous ?? (parseLine(lines[index - 1]?.line ?? Buffer.alloc(0)) as Link | undefined)
    let fields = parsed?.content.toString().replace(/^\{"seq":\d+,/, '') ?? ''
    if (index === from) fields = fields.replace('"INFO"', '"WARN"')
    // A forger makes the first lines of files agree, too.
    fields = fields.replace(/"previous":"[0-9a-f]{64}"/, `"previous":"${before?.hash ?? '0'.repeat(64)}"`)
    const made = chainLine(before ?? { seq: 0, hash: '0'.repeat(64) }, fields)
    previous = made.link
    return { file, line: Buffer.from(made.text.trimEnd()) }
  })
}

const ATTACKS_ON_FILES: readonly ((random: Random) => Attack)[] = [
  (random) => {
    const lines = flat(honest)
    const index = random(lines.length)
    const { file = 0, line = Buffer.alloc(0) } = lines[index] ?? {}
    const before = lines.slice(0, index).filter((each) => each.file === file)
    const at = contentOf(before.map((each) => each.line)).length + random(line.length + 1)
    const files = regroup(lines).map((each, number) => {
      if (number !== file) return each
      const content = Buffer.from(each.content)
      content[at] = otherByte(random, content[at] ?? 0)
      return { ...each, content }
    })
    return { what: 'a byte was changed', files, first: index + 1, last: index + 1 }
  },
  (random) => {
    const lines = flat(honest)
    const at = random(lines.length)
    const count = 1 + random(Math.min(4, lines.length - at))
    return {
      what: 'lines were removed',
      files: regroup(lines.toSpliced(at, count)),
      first: at + 1,
      last: at + count,
    }
  },
  (random) => {
    const lines = flat(honest)
    const [low, high] = pair(random, lines.length)
    const [one, other] = [lines[low], lines[high]]
    if (one === undefined || other === undefined) throw new Error('no such line')
    const swapped = lines.with(low, { ...one, line: other.line }).with(high, { ...other, line: one.line })
    return { what: 'two lines were swapped', files: regroup(swapped), first: low + 1, last: high + 1 }
  },
  (random) => {
    const lines = flat(honest)
    const at = random(lines.length)
    const { file = 0 } = lines[at] ?? {}
    const line = lines[random(lines.length)]?.line ?? Buffer.alloc(0)
    const files = regroup(lines.toSpliced(at, 0, { file, line }))
    const place = { file: honest[file]?.name, line: at - firstOf(file) + 2 }
    return { what: 'a line was put in again', files, first: at + 1, last: at + 2, at: place }
  },
  (random) => {
    const lines = flat(honest)
    const at = 1 + random(lines.length - 1)
    const before = parseLine(lines[at - 1]?.line ?? Buffer.alloc(0)) as Link
    const { text } = chainLine(before, noteFields('INFO', 'made up', {}))
    const { file = 0 } = lines[at - 1] ?? {}
    const files = regroup(lines.toSpliced(at, 0, { file, line: Buffer.from(text.trimEnd()) }))
    return { what: 'a line was made up, with its hash', files, first: at + 1, last: at + 2 }
  },
  (random) => {
    const [from, end] = pair(random, flat(honest).length + 1)
    const files = regroup(forgeChain(from, end))
    return {
      what: 'a line was changed and all behind it chained anew',
      files,
      first: from + 1,
      last: end + 1,
    }
  },
  (random) => {
    const from = random(flat(honest).length)
    const files = regroup(forgeChain(from, Number.POSITIVE_INFINITY))
    return { what: 'the chain was forged to its end', files, first: from + 1, last: flat(honest).length }
  },
  (random) => {
    const [low, high] = pair(random, honest.length)
    const files = regroup(flat(honest))
    const [one, other] = [files[low], files[high]]
    if (one === undefined || other === undefined) throw new Error('no such file')
    const first = low === 0 ? 1 : firstOf(low)
    return {
      what: 'two files were swapped',
      files: files.with(low, other).with(high, one),
      first,
      last: flat(honest).length,
    }
  },
  (random) => {
    const gone = random(honest.length)
    const files = regroup(flat(honest)).toSpliced(gone, 1)
    return { what: 'a file was removed', files, first: firstOf(gone), last: firstOf(gone + 1) }
  },
  (random) => {
    const length = flat(honest).length
    const kept = random(length)
    const files = regroup(flat(honest).slice(0, kept)).filter(({ content }) => content.length > 0)
    return { what: 'the end was cut off', files, first: kept + 1, last: length }
  },
]

/** The number of the first event of a file. */
function firstOf(file: number): number {
  return 1 + flat(honest.slice(0, file)).length
}

async function placeOf(files: Attack['files']): Promise<(Place & { text: string }) | undefined> {
  try {
    await verifyAuditFiles(
      files.map(({ name, content }) => ({ name, lines: split(content) })),
      heads,
    )
    return undefined
  } catch (error) {
    if (!(error instanceof AuditBrokenError)) throw error
    return { ...error.place, text: error.message }
  }
}

/** Whoever attacks the journal has not its key, but one of their own. */
const forger = generateKeyPairSync('ed25519').privateKey

const ATTACKS_ON_JOURNAL: readonly ((random: Random) => { lines: RawLine[]; first: number; last: number })[] =
  [
    (random) => {
      const index = random(journal.length)
      const content = contentOf(journal)
      const at = contentOf(journal.slice(0, index)).length + random((journal[index]?.length ?? 0) + 1)
      content[at] = otherByte(random, content[at] ?? 0)
      return { lines: split(content), first: index + 1, last: index + 1 }
    },
    (random) => {
      const at = random(journal.length)
      const count = 1 + random(Math.min(3, journal.length - at))
      return { lines: rawLines(journal.toSpliced(at, count)), first: at + 1, last: at + 1 }
    },
    (random) => {
      const [low, high] = pair(random, journal.length)
      const [one, other] = [journal[low], journal[high]]
      if (one === undefined || other === undefined) throw new Error('no such entry')
      return { lines: rawLines(journal.with(low, other).with(high, one)), first: low + 1, last: low + 1 }
    },
    (random) => {
      const at = random(journal.length)
      const line = journal[random(journal.length)] ?? Buffer.alloc(0)
      return { lines: rawLines(journal.toSpliced(at, 0, line)), first: at + 1, last: at + 2 }
    },
    (random) => {
      // An entry is changed, and all behind it chained and signed anew, by another key.
      const at = random(journal.length)
      let previous: Uint8Array | undefined
      const lines = journal.map((line, index) => {
        const { number, name, entry } = JSON.parse(line.toString())
        const bytes = Buffer.from(entry, 'base64')
        if (index < at) {
          previous = hashOf(bytes)
          return line
        }
        const read = decodeEntry(bytes)
        const made = signEntry(forger, {
          ...read,
          time: '2026-01-01T00:00:00Z',
          previous: previous ?? read.previous,
        })
        previous = hashOf(made.bytes)
        const base64 = (each: Uint8Array) => Buffer.from(each).toString('base64')
        return Buffer.from(
          JSON.stringify({ number, name, entry: base64(made.bytes), signature: base64(made.signature) }),
        )
      })
      return { lines: rawLines(lines), first: at + 1, last: at + 1 }
    },
  ]

test('the files that were written are whole, and so is their journal', async () => {
  expect(honest.length).toBeGreaterThan(3)
  expect(heads.length).toBeGreaterThan(8)
  expect(await placeOf(regroup(flat(honest)))).toBeUndefined()
})

test(`${ATTACKS} attacks on audit files and their journal are found where they are`, async () => {
  console.log(`seed ${SEED}: AUDIT_SEED=${SEED} repeats it`)
  const next = seededRandom(SEED)
  const random: Random = (below) => Math.floor(next() * below)
  const counts = new Map<string, number>()
  for (let count = 0; count < ATTACKS; count += 1) {
    if (count % 3 === 0) {
      const attack = ATTACKS_ON_JOURNAL[random(ATTACKS_ON_JOURNAL.length)]?.(random)
      if (attack === undefined) continue
      const error = await verifyHeads(attack.lines, publicKey, journalHead).then(
        () => undefined,
        (thrown) => thrown,
      )
      expect(error, `attack ${count}`).toBeInstanceOf(JournalBrokenError)
      expect(error.number).toBeGreaterThanOrEqual(attack.first)
      expect(error.number).toBeLessThanOrEqual(attack.last)
      counts.set('on the journal', (counts.get('on the journal') ?? 0) + 1)
      continue
    }
    const attack = ATTACKS_ON_FILES[random(ATTACKS_ON_FILES.length)]?.(random)
    if (attack === undefined) continue
    const place = await placeOf(attack.files)
    const shown = `attack ${count}, ${attack.what}: ${place?.text ?? 'not found'}`
    if (place === undefined) throw new Error(shown)
    // The numbers that are reported and those that were attacked have one in common; or it is the very line.
    const isThere = place.file === attack.at?.file && [0, 1].includes((place.line ?? 0) - attack.at.line)
    if (!isThere) {
      expect(place.first, shown).toBeLessThanOrEqual(attack.last)
      expect(place.last, shown).toBeGreaterThanOrEqual(attack.first)
    }
    // And no more is suspected than what lies between two signed heads.
    const spans = heads.filter(({ seq }) => seq >= place.first && seq < place.last)
    if (!/missing/.test(place.text)) expect(spans.length, shown).toBeLessThanOrEqual(1)
    counts.set(attack.what, (counts.get(attack.what) ?? 0) + 1)
  }
  console.log([...counts].map(([what, count]) => `${String(count).padStart(6)} ${what}`).join('\n'))
}, 120_000)

test('a note behind the last signed head that the first file was removed is not believed', async () => {
  const last = parseLine(honest.at(-1)?.lines.at(-1) ?? Buffer.alloc(0)) as Link
  const upTo = firstOf(1) - 1
  const note = chainLine(last, noteFields('INFO', 'audit files removed', { removed_up_to: upTo }))
  const forged = regroup([
    ...flat(honest),
    { file: honest.length - 1, line: Buffer.from(note.text.trimEnd()) },
  ])
  expect(await placeOf(forged.slice(1))).toMatchObject({ first: 1, last: upTo })
})

test('what is cut off behind the last signed head is the one thing that does not show', async () => {
  const signed = flat(honest).length
  const all = flat(unsignedTail)
  for (let kept = all.length; kept >= signed - 3; kept -= 1) {
    const place = await placeOf(regroup(all.slice(0, kept)))
    if (kept >= signed) expect(place).toBeUndefined()
    else expect(place).toMatchObject({ first: kept + 1, last: signed })
  }
  // A line there that was changed shows all the same.
  const changed = all.map((each, index) =>
    index === signed + 1
      ? { ...each, line: Buffer.from(each.line.toString().replace('tail', 'tall')) }
      : each,
  )
  expect(await placeOf(regroup(changed))).toMatchObject({ first: signed + 1, last: signed + 2 })
})
