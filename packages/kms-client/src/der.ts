/**
 * DER, as far as certificates need it: tags of one byte and definite lengths.
 *
 * @see ITU-T X.690, sections 8 and 10.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

export interface Element {
  readonly tag: number
  readonly content: Buffer
  /** Tag, length and content. */
  readonly whole: Buffer
}

export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(tag), lengthOf(content), content])
}

export function sequence(...elements: readonly Uint8Array[]): Buffer {
  return element(TAG.sequence, ...elements)
}

/** @param id - in dotted form, such as `2.5.29.19`. */
export function objectIdentifier(id: string): Buffer {
  const [first = 0, second = 0, ...rest] = id.split('.').map(Number)
  return element(TAG.objectIdentifier, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

/** @param unusedBits - how many of the last byte do not belong to it. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return element(TAG.bitString, Buffer.of(unusedBits), bytes)
}

/** Cut to whole seconds. The form depends on the year: RFC 5280, section 4.1.2.5. */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().replaceAll(/[-:T]|\..*/g, '')}Z`
  return date.getUTCFullYear() < 2050
    ? element(TAG.utcTime, Buffer.from(digits.slice(2)))
    : element(TAG.generalizedTime, Buffer.from(digits))
}

/** The elements that stand side by side in `bytes`. @throws RangeError if they are cut short. */
export function readElements(bytes: Uint8Array): Element[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Element[] = []
  for (let start = 0; start < buffer.length; ) {
    const first = buffer.readUInt8(start + 1)
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const length = lengthBytes === 0 ? first : buffer.readUIntBE(start + 2, lengthBytes)
    const contentStart = start + 2 + lengthBytes
    const end = contentStart + length
    if (end > buffer.length) throw new RangeError('a DER element is cut short')
    elements.push({
      tag: buffer.readUInt8(start),
      content: buffer.subarray(contentStart, end),
      whole: buffer.subarray(start, end),
    })
    start = end
  }
  return elements
}

/** One byte below 0x80, else 0x80 plus the number of bytes that follow. */
function lengthOf({ length }: Uint8Array): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  const significant = bytes.subarray(bytes.findIndex((byte) => byte > 0))
  return Buffer.of(0x80 | significant.length, ...significant)
}

/** Seven bits a byte, of which all but the last have the highest bit set. */
function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}
