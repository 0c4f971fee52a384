import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  CHECKED_BYTES,
  Checksums,
  decodeTail,
  encodeTail,
  type FileRecord,
  FOOTER_BYTES,
  tailBytes,
} from './record-file.ts'

const RECORD: FileRecord = {
  kind: 'part',
  revision: 7,
  upload: 'upload',
  number: 3,
  size: 10,
  storedBytes: 42,
  etag: 'é\0"',
  isChecked: false,
  modifiedAt: 1,
}

test('a record comes back, with the length of the content and its checksums', () => {
  fc.assert(
    fc.property(
      fc.nat(2 ** 31),
      fc.array(fc.nat(2 ** 32 - 1)),
      fc.string({ unit: 'binary' }),
      (bytes, checksums, etag) => {
        const record = { ...RECORD, etag: etag.toWellFormed() }
        const tail = encodeTail(bytes, checksums, record)
        expect(tailBytes(tail.subarray(-FOOTER_BYTES), bytes + tail.length)).toBe(tail.length)
        expect(decodeTail(tail)).toEqual({ contentBytes: bytes, checksums, record })
      },
    ),
  )
})

test('a tail with any bit flipped is refused', () => {
  const tail = encodeTail(1000, [1, 2], RECORD)
  for (let bit = 0; bit < tail.length * 8; bit++) {
    const changed = Buffer.from(tail)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(() => {
      const bytes = tailBytes(changed.subarray(-FOOTER_BYTES), 1000 + tail.length)
      decodeTail(changed.subarray(-bytes))
    }).toThrow('damaged')
  }
})

test('a file that was cut off, or that something was added to, is refused', () => {
  const tail = encodeTail(1000, [], RECORD)
  const footer = tail.subarray(-FOOTER_BYTES)
  expect(() => tailBytes(footer, 999 + tail.length)).toThrow('length')
  expect(() => tailBytes(footer, 1001 + tail.length)).toThrow('length')
  expect(() => tailBytes(footer.subarray(1), 1000 + tail.length)).toThrow('end of the file')
  expect(() => tailBytes(Buffer.alloc(0), 0)).toThrow('end of the file')
})

test('checksums are the same whatever the pieces', () => {
  const content = randomBytes(2 * CHECKED_BYTES + 100)
  const expected = [0, 1, 2].map((block) =>
    crc32(content.subarray(block * CHECKED_BYTES, (block + 1) * CHECKED_BYTES)),
  )
  for (const size of [1000, CHECKED_BYTES, CHECKED_BYTES + 1, content.length]) {
    const checksums = new Checksums()
    for (let at = 0; at < content.length; at += size) checksums.update(content.subarray(at, at + size))
    expect(checksums.end()).toEqual(expected)
  }
  expect(new Checksums().end()).toEqual([])
})
