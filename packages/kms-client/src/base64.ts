/**
 * Base64 as KES writes and reads it: standard alphabet, with padding (RFC 4648, section 4).
 *
 * CR and LF are skipped wherever they stand, and the unused bits of the last character may be anything, because
 * the Go decoder behind KES accepts both. Everything else is refused; `Buffer.from` would drop it in silence.
 */
import { KesClientError } from './errors.ts'

const QUANTUM = /^(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?$/
const SYMBOL = /[0-9A-Za-z+/]/
const LINE_END = /[\r\n]/g

/** The text is not base64. The message is the one that KES prints, which names the place and not the content. */
export class InvalidBase64Error extends KesClientError {
  override readonly name = 'InvalidBase64Error'
  /** Where the text stops being base64: an index into it. */
  readonly offset: number
  constructor(offset: number) {
    super(`illegal base64 data at input byte ${offset}`)
    this.offset = offset
  }
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** @throws {@link InvalidBase64Error} if the text holds anything but base64, CR and LF, or stops too early. */
export function decodeBase64(text: string): Buffer {
  const symbols = text.replaceAll(LINE_END, '')
  if (!QUANTUM.test(symbols)) throw new InvalidBase64Error(offsetOfFault(text))
  return Buffer.from(symbols, 'base64')
}

/** The place that the Go decoder names for a text that is known to be faulty. */
function offsetOfFault(text: string): number {
  let symbols = 0 // in the quantum of four that is being read
  for (let offset = 0; offset < text.length; offset++) {
    const character = text.charAt(offset)
    if (character === '\r' || character === '\n') continue
    if (character === '=') return offsetOfPaddingFault(text, offset, symbols)
    if (!SYMBOL.test(character)) return offset
    symbols = (symbols + 1) % 4
  }
  return text.length - symbols
}

/** As {@link offsetOfFault}, from the first `=` on, which stands after `symbols` symbols of its quantum. */
function offsetOfPaddingFault(text: string, first: number, symbols: number): number {
  if (symbols < 2) return first
  let offset = afterLineEnds(text, first + 1)
  if (symbols === 2) {
    if (offset === text.length) return offset
    if (text.charAt(offset) !== '=') return offset - 1
    offset = afterLineEnds(text, offset + 1)
  }
  return offset
}

function afterLineEnds(text: string, offset: number): number {
  let next = offset
  while (text.charAt(next) === '\r' || text.charAt(next) === '\n') next++
  return next
}
