import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KesProtocolError } from './errors.ts'
import { readLines } from './ndjson.ts'

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size)
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const collected: string[] = []
  for await (const line of lines) collected.push(line)
  return collected
}

test('a line one byte over the limit is refused, whether it ends or not', async () => {
  const read = (text: string) => collect(readLines(chunked(Buffer.from(text), 3), 8))
  expect(await read('12345678\n12345678')).toEqual(['12345678', '12345678'])
  await expect(read('123456789\n')).rejects.toThrow(KesProtocolError)
  await expect(read('123456789')).rejects.toThrow(KesProtocolError)
})

test('lines are the same however the bytes are cut', async () => {
  const line = fc.string({ unit: 'grapheme' }).filter((text) => text.trim() === text && !/[\r\n]/.test(text))
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 20 }), async (lines, size) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''))
      const expected = lines.filter((each) => each !== '')
      expect(await collect(readLines(chunked(bytes, size), 10_000))).toEqual(expected)
    }),
  )
})

test('a line is given before the next one has come', async () => {
  const { promise: never } = Promise.withResolvers<Buffer>()
  async function* chunks() {
    yield Buffer.from('{"a":1}\n{"b"')
    yield await never
  }
  const lines = readLines(chunks(), 100)
  expect(await lines.next()).toEqual({ done: false, value: '{"a":1}' })
})
