/** HTTP/2 by hand, for what no client library sends (RFC 9113; header blocks as RFC 7541, section 6.2.2). */

export const FrameType = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const END_STREAM = 0x1
export const END_HEADERS = 0x4
const NO_BYTES = Buffer.alloc(0)
const HEADER_BYTES = 9

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export function frame(type: number, flags: number, stream: number, payload: Buffer = NO_BYTES): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

/** The client's first bytes: the preface and its settings, each an identifier with a value. */
export function preface(...settings: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settingsFrame(...settings)])
}

export function settingsFrame(...settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6)
  for (const [index, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, index * 6)
    payload.writeUInt32BE(value, index * 6 + 2)
  }
  return frame(FrameType.settings, 0, 0, payload)
}

/** A header block without compression, in the given order, duplicates and all. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.of(0), stringLiteral(name), stringLiteral(value)]),
  )
}

function stringLiteral(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([integer(bytes.length), bytes])
}

/** An integer with a prefix of 7 bits, the eighth being 0. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  let rest = value - 127
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  return Buffer.of(...bytes, rest)
}

export function requestFields(
  method: string,
  path: string,
  ...more: readonly (readonly [string, string])[]
): (readonly [string, string])[] {
  return [[':method', method], [':scheme', 'https'], [':authority', 'kes'], [':path', path], ...more]
}

/** A whole request without body. */
export function request(stream: number, fields: readonly (readonly [string, string])[]): Buffer {
  return frame(FrameType.headers, END_STREAM | END_HEADERS, stream, headerBlock(fields))
}

export function rstStream(stream: number, code = 8): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(code)
  return frame(FrameType.rstStream, 0, stream, payload)
}

/** The frames in what was received; one that is cut off is left out. */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let offset = 0; offset + HEADER_BYTES <= bytes.length; ) {
    const end = offset + HEADER_BYTES + bytes.readUIntBE(offset, 3)
    if (end > bytes.length) break
    const [type = 0, flags = 0] = bytes.subarray(offset + 3, offset + 5)
    const stream = bytes.readUInt32BE(offset + 5) & 0x7fff_ffff
    frames.push({ type, flags, stream, payload: bytes.subarray(offset + HEADER_BYTES, end) })
    offset = end
  }
  return frames
}

/** The status of a reply, which is the first field: an entry of HPACK's static table, or a name of it with digits. */
export function statusOf(block: Buffer): number {
  const [first = 0] = block
  const indexed: Record<number, number> = { 136: 200, 139: 304, 140: 400, 141: 404, 142: 500 }
  const found = indexed[first]
  if (found !== undefined) return found
  const digits = block.subarray(2, 2 + ((block[1] ?? 0) & 0x7f))
  if (((block[1] ?? 0) & 0x80) === 0) return Number(digits.toString('latin1'))
  // Huffman codes of digits have 5 bits (0 to 2) or 6 (3 to 9).
  let bits = [...digits].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  let text = ''
  while (text.length < 3) {
    const short = Number.parseInt(bits.slice(0, 5), 2)
    const isShort = short <= 2
    text += isShort ? short : Number.parseInt(bits.slice(0, 6), 2) - 0x19 + 3
    bits = bits.slice(isShort ? 5 : 6)
  }
  return Number(text)
}
