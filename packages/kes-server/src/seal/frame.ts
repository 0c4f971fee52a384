/**
 * Unambiguous bytes for what is authenticated: a label, then fields.
 *
 *     each:  4 bytes  length n, big-endian
 *            n bytes  text in UTF-8, bytes as they are, integers as 8 bytes big-endian
 *
 * The label says what the frame is of, and fixes the number and the types of the fields that follow. So no two
 * different lists of fields have the same frame, and no frame of one kind is one of another.
 */
import assert from 'node:assert/strict'

export type Field = string | Uint8Array | number

const LENGTH_BYTES = 4
const INTEGER_BYTES = 8

export function frame(label: string, ...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    [label, ...fields].flatMap((field) => {
      const bytes = fieldBytes(field)
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

function fieldBytes(field: Field): Uint8Array {
  if (field instanceof Uint8Array) return field
  if (typeof field === 'number') {
    assert(Number.isSafeInteger(field) && field >= 0)
    const bytes = Buffer.alloc(INTEGER_BYTES)
    bytes.writeBigUInt64BE(BigInt(field))
    return bytes
  }
  // A lone surrogate has no UTF-8: every one of them would become the same three bytes.
  assert(field.isWellFormed())
  return Buffer.from(field)
}
