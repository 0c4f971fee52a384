import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecordSearch, RUN_BYTES } from './record-search.ts'

/** The ids that are found in a file of these bytes, read in slices as `StoreFiles` does. */
function idsIn(file: Uint8Array, search: RecordSearch, sliceBytes = file.length): number[] {
  for (let start = 0; start < file.length; start += sliceBytes) {
    const slice = Uint8Array.from(file.subarray(start, start + sliceBytes + 4))
    search.look(new Uint32Array(slice.buffer, 0, Math.floor(slice.length / 4)))
  }
  return [...search.found.keys()]
}

test('no run of a record shorter than a word is taken for a remainder of it', () => {
  const record = randomBytes(93)
  for (let length = 0; length < 8; length++) {
    const file = Buffer.concat([randomBytes(100), record.subarray(20, 20 + length), randomBytes(100)])
    expect(idsIn(file, new RecordSearch(new Map([[1, [record]]])))).toEqual([])
  }
})

test.each([93, 61])('every run of 11 bytes of a record of %i bytes is found, at every offset', (length) => {
  const record = randomBytes(length)
  for (let from = 0; from + RUN_BYTES <= length; from++) {
    for (let offset = 0; offset < 8; offset++) {
      const file = new Uint8Array(64)
      file.set(record.subarray(from, from + RUN_BYTES), 16 + offset)
      expect(idsIn(file, new RecordSearch(new Map([[7, [record]]])))).toEqual([7])
    }
  }
})

test('a run is found wherever a slice ends, and by the id of its own record', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 200 }),
      fc.nat({ max: 82 }),
      fc.integer({ min: 1, max: 20 }),
      (at, from, quads) => {
        const records = [1, 2, 3].map((id) => [id, [randomBytes(93)]] as const)
        const file = randomBytes(300)
        file.set((records[1]?.[1][0] ?? file).subarray(from, from + RUN_BYTES), at)
        expect(idsIn(file, new RecordSearch(new Map(records)), quads * 4)).toEqual([2])
      },
    ),
  )
})

test('the bytes that were found are those of the record', () => {
  const record = randomBytes(93)
  const search = new RecordSearch(new Map([[1, [record]]]))
  idsIn(Buffer.concat([Buffer.alloc(8), record.subarray(8, 16), Buffer.alloc(8)]), search)
  expect([...(search.found.get(1)?.values() ?? [])]).toEqual([record.subarray(8, 16)])
})

test('a record that was overwritten with filling is found nowhere', () => {
  for (const filling of [Buffer.alloc(93), Buffer.alloc(93, 0xff), Buffer.alloc(0), Buffer.from('short')]) {
    const file = Buffer.concat([Buffer.alloc(4096), filling, Buffer.alloc(4096, 0xff)])
    expect(idsIn(file, new RecordSearch(new Map([[1, [filling]]])))).toEqual([])
  }
})

test('a thousand records are told from each other in one pass', () => {
  const records = new Map(Array.from({ length: 1000 }, (_, id) => [id, [randomBytes(93)]] as const))
  const kept = [3, 500, 999]
  const file = Buffer.concat(kept.flatMap((id) => [randomBytes(101), ...(records.get(id) ?? [])]))
  expect(idsIn(file, new RecordSearch(records)).sort((a, b) => a - b)).toEqual(kept)
})
