import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProtobufError, ProtobufWriter, readProtobuf, readProtobufString } from './protobuf.ts'

function fieldsOf(hex: string) {
  return [...readProtobuf(Buffer.from(hex, 'hex'))]
}

describe('readProtobuf', () => {
  test.each([
    ['field number 0', '0001'],
    ['a field number over 2^29 - 1', '808080801001'],
    ['the start of a group', '0b0c'],
    ['the end of a group', '0c'],
    ['wire type 6', '0e'],
    ['wire type 7', '0f'],
    ['a tag without a value', '08'],
    ['a varint that ends in the middle', '0880'],
    ['a varint of 65 bits', '08ffffffffffffffffff02'],
    ['a varint of eleven bytes', '0880808080808080808080 00'.replace(' ', '')],
    ['a length over what follows', '0a0261'],
    ['a length of 2^63', '0a80808080808080808001'],
    ['a fixed32 of 3 bytes', '0d010203'],
    ['a fixed64 of 7 bytes', '0901020304050607'],
  ])('refuses %s', (_, hex) => {
    expect(() => fieldsOf(hex)).toThrow(ProtobufError)
  })

  test('reads the examples of the encoding guide', () => {
    expect(fieldsOf('089601')).toEqual([{ number: 1, kind: 'varint', value: 150n }])
    expect(fieldsOf('120774657374696e67')).toEqual([
      { number: 2, kind: 'bytes', value: Buffer.from('testing') },
    ])
  })

  test('reads the largest varint and the largest field number', () => {
    expect(fieldsOf('08ffffffffffffffffff01')).toEqual([{ number: 1, kind: 'varint', value: 2n ** 64n - 1n }])
    expect(fieldsOf('f8ffffff0f00')).toEqual([{ number: 2 ** 29 - 1, kind: 'varint', value: 0n }])
  })

  test('either reads or refuses any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          for (const field of readProtobuf(bytes)) expect(field.number).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufError)
        }
      }),
    )
  })

  test('a string that is not UTF-8 is refused', () => {
    expect(() => readProtobufString(Buffer.from('c328', 'hex'))).toThrow(ProtobufError)
    expect(readProtobufString(Buffer.from('é'))).toBe('é')
  })
})

describe('ProtobufWriter', () => {
  const fieldNumber = fc.integer({ min: 1, max: 2 ** 29 - 1 })

  test('what it writes is read back', () => {
    fc.assert(
      fc.property(
        fieldNumber,
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.maxSafeNat(),
        fc.double(),
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array({ maxLength: 300 }),
        (number, int, uint, double, text, bytes) => {
          const inner = new ProtobufWriter().bytes(number, bytes).finish()
          const message = new ProtobufWriter()
            .int(number, int)
            .uint(number, uint)
            .double(number, double)
            .string(number, text)
            .message(number, inner)
            .finish()
          const [first, second, third, fourth, fifth, ...rest] = readProtobuf(message)
          expect(first).toEqual({ number, kind: 'varint', value: BigInt.asUintN(64, int) })
          expect(second).toEqual({ number, kind: 'varint', value: BigInt(uint) })
          const encodedDouble = Buffer.alloc(8)
          encodedDouble.writeDoubleLE(double)
          expect(third).toEqual({ number, kind: 'fixed64', value: encodedDouble })
          expect(fourth).toEqual({ number, kind: 'bytes', value: Buffer.from(text) })
          expect(fifth).toEqual({ number, kind: 'bytes', value: inner })
          expect(rest).toEqual([])
        },
      ),
    )
  })

  test('a negative number takes ten bytes, as int64 does', () => {
    expect(new ProtobufWriter().int(1, -1n).finish().toString('hex')).toBe('08ffffffffffffffffff01')
  })

  test('a zero value is written when it is given', () => {
    const message = new ProtobufWriter().uint(1, 0).string(2, '').finish()
    expect(message.toString('hex')).toBe('08001200')
  })

  test('a message of a stream stands behind its length', () => {
    const stream = new ProtobufWriter()
      .delimited(Buffer.alloc(200, 1))
      .delimited(Buffer.from([2]))
      .finish()
    expect(stream.subarray(0, 3).toString('hex')).toBe('c80101')
    expect(stream.subarray(202).toString('hex')).toBe('0102')
  })
})
