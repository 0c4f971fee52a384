/**
 * Finds what is left of erased records in the bytes of a file, in one pass, however many records are searched for.
 *
 * A remainder is any run of 11 bytes of a record, at any offset. A file is looked at in words of 8 bytes that begin at
 * every fourth offset; a run of 11 bytes holds one of them whole. docs/erasure.md says why no shorter run can matter.
 */

/** A step from one look to the next. */
const STEP_BYTES = 4
/** What is compared at each look. */
const WORD_BYTES = 8
/** The shortest run of a record that is found wherever it stands. */
export const RUN_BYTES = WORD_BYTES + STEP_BYTES - 1

/** Zeros and other filling of pages say nothing; of 10^9 random words one has fewer different bytes. */
const DIFFERENT_BYTES_MIN = 4

/** Slots of the filter for each word: about 1.5 % of all looks go on to the exact comparison. */
const FILTER_SLOTS_PER_WORD = 64
const FILTER_BITS_MIN = 16
const FILTER_BITS_MAX = 22
/** 2^32 divided by the golden ratio: spreads neighbouring words over the filter. */
const SPREAD = 0x9e3779b1

interface Word {
  readonly second: number
  readonly id: number
  readonly part: Uint8Array
  readonly offset: number
}

export class RecordSearch {
  /** What was found so far: by the id of its record, the words of 8 bytes, by their hex. */
  readonly found = new Map<number, Map<string, Buffer>>()
  readonly #words = new Map<number, Word[]>()
  readonly #filter: Uint8Array
  readonly #shift: number

  /** @param records - by id: whole records, or those parts of them that are known. */
  constructor(records: ReadonlyMap<number, readonly Uint8Array[]>) {
    let count = 0
    for (const [id, parts] of records) for (const part of parts) count += this.#add(id, part)
    const bits = Math.ceil(Math.log2(Math.max(1, count * FILTER_SLOTS_PER_WORD)))
    this.#shift = 32 - Math.min(FILTER_BITS_MAX, Math.max(FILTER_BITS_MIN, bits))
    this.#filter = new Uint8Array(2 ** (32 - this.#shift))
    for (const first of this.#words.keys()) this.#filter[Math.imul(first, SPREAD) >>> this.#shift] = 1
  }

  #add(id: number, part: Uint8Array): number {
    let count = 0
    for (let offset = 0; offset + WORD_BYTES <= part.length; offset++) {
      const bytes = Uint8Array.from(part.subarray(offset, offset + WORD_BYTES))
      if (new Set(bytes).size < DIFFERENT_BYTES_MIN) continue
      const [first = 0, second = 0] = new Uint32Array(bytes.buffer)
      const others = this.#words.get(first)
      if (others === undefined) this.#words.set(first, [{ second, id, part, offset }])
      else others.push({ second, id, part, offset })
      count++
    }
    return count
  }

  /**
   * Looks through bytes that begin at a multiple of 4 in their file. To miss no word between two calls, the second
   * begins with the last 4 bytes of the first.
   *
   * @param quads - bytes in the processor's own order, 4 each.
   */
  look(quads: Uint32Array): void {
    const filter = this.#filter
    const shift = this.#shift
    const last = quads.length - 1
    for (let index = 0; index < last; index++) {
      const first = quads[index] ?? 0
      if (filter[Math.imul(first, SPREAD) >>> shift] === 1) this.#compare(first, quads[index + 1] ?? 0)
    }
  }

  #compare(first: number, second: number): void {
    for (const word of this.#words.get(first) ?? []) {
      if (word.second !== second) continue
      const words = this.found.get(word.id) ?? new Map<string, Buffer>()
      const bytes = Buffer.from(word.part.subarray(word.offset, word.offset + WORD_BYTES))
      this.found.set(word.id, words.set(bytes.toString('hex'), bytes))
    }
  }
}
