/**
 * The wire format of Protocol Buffers, without schemas: what stored keys and the metrics exposition need.
 *
 * A message is a sequence of fields, each a varint tag (`number << 3 | wire type`) and a value:
 *
 *     wire type  value
 *             0  varint: 7 bits a byte, least significant first, the high bit says that more follow
 *             1  8 bytes, little-endian (fixed64, double)
 *             2  varint length, then as many bytes (string, bytes, message)
 *             5  4 bytes, little-endian (fixed32)
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */
import { isUtf8 } from 'node:buffer'

/** Not a message in the wire format. Says what is wrong, never what was read. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

/** One field as read. Views share the message's memory. */
export type ProtobufField =
  | { readonly number: number; readonly kind: 'varint'; readonly value: bigint } // 0 to 2^64 - 1
  | { readonly number: number; readonly kind: 'bytes' | 'fixed32' | 'fixed64'; readonly value: Buffer }

const WIRE_TYPES = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const
const FIELD_NUMBER_MAX = 2 ** 29 - 1
const VARINT_BYTES_MAX = 10

/**
 * The fields of a message, in the order in which they stand there. A reader ignores numbers and kinds that it
 * doesn't expect: that is how messages stay compatible.
 *
 * @throws {@link ProtobufError} while iterating, if a field is cut short, has number 0 or over 2^29 - 1, or
 *   is a group (wire types 3 and 4, which proto3 has not) or of an unknown wire type.
 */
export function* readProtobuf(message: Uint8Array): Generator<ProtobufField, void> {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
  let at = 0

  function varint(): bigint {
    let value = 0n
    for (let index = 0; index < VARINT_BYTES_MAX; index += 1) {
      const byte = bytes[at]
      if (byte === undefined) throw new ProtobufError('message ends within a varint')
      at += 1
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) {
        if (value > 0xffff_ffff_ffff_ffffn) break
        return value
      }
    }
    throw new ProtobufError('varint has more than 64 bits')
  }

  function take(length: bigint): Buffer {
    if (length > BigInt(bytes.length - at)) throw new ProtobufError('message ends within a field')
    const start = at
    at += Number(length)
    return bytes.subarray(start, at)
  }

  while (at < bytes.length) {
    const tag = varint()
    const number = Number(tag >> 3n)
    if (number === 0 || number > FIELD_NUMBER_MAX) throw new ProtobufError('field number is out of range')
    const wireType = Number(tag & 7n)
    if (wireType === WIRE_TYPES.varint) yield { number, kind: 'varint', value: varint() }
    else if (wireType === WIRE_TYPES.fixed64) yield { number, kind: 'fixed64', value: take(8n) }
    else if (wireType === WIRE_TYPES.bytes) yield { number, kind: 'bytes', value: take(varint()) }
    else if (wireType === WIRE_TYPES.fixed32) yield { number, kind: 'fixed32', value: take(4n) }
    else throw new ProtobufError(`wire type ${wireType} is not supported`)
  }
}

/** @throws {@link ProtobufError} if `value` is not UTF-8, as proto3 requires of strings. */
export function readProtobufString(value: Buffer): string {
  if (!isUtf8(value)) throw new ProtobufError('string is not valid UTF-8')
  return value.toString('utf8')
}

/**
 * Builds a message field by field. Every field that is given is written: proto3's rule that zero values are
 * left out is the caller's to follow, as proto2 messages have none.
 */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = []

  /** uint32, uint64 or enum: a safe integer, not negative. */
  uint(number: number, value: number): this {
    return this.int(number, BigInt(value))
  }

  /** int32 or int64: a negative value takes ten bytes. */
  int(number: number, value: bigint): this {
    this.#tag(number, WIRE_TYPES.varint)
    this.#parts.push(encodeVarint(BigInt.asUintN(64, value)))
    return this
  }

  double(number: number, value: number): this {
    this.#tag(number, WIRE_TYPES.fixed64)
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(bytes)
    return this
  }

  string(number: number, value: string): this {
    return this.bytes(number, Buffer.from(value, 'utf8'))
  }

  /** `value` must stay as it is until {@link finish}, which alone copies it. */
  bytes(number: number, value: Uint8Array): this {
    this.#tag(number, WIRE_TYPES.bytes)
    return this.delimited(value)
  }

  /** @param value - a finished message. */
  message(number: number, value: Uint8Array): this {
    return this.bytes(number, value)
  }

  /** A message of a stream: no field, only its length and its bytes. */
  delimited(value: Uint8Array): this {
    this.#parts.push(encodeVarint(BigInt(value.length)), value)
    return this
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #tag(number: number, wireType: number): void {
    this.#parts.push(encodeVarint((BigInt(number) << 3n) | BigInt(wireType)))
  }
}

function encodeVarint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}
