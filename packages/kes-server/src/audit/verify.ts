/** Verifies audit files against the heads that the journal signed, and names what was changed. */
import { BEFORE_FIRST, isChainedTo, type Link, parseLine } from './chain.ts'
import { parseHeader, removedUpTo } from './lines.ts'

/** Where to look: a line of a file, and the events that may be concerned. */
export interface Place {
  readonly file: string
  /** From 1; undefined if the file ends before it. */
  readonly line: number | undefined
  /** Numbers of the first and last event that may have been changed, or are missing or too many. */
  readonly first: number
  readonly last: number
}

/** The audit files are not as the server wrote them. */
export class AuditBrokenError extends Error {
  override readonly name = 'AuditBrokenError'
  readonly place: Place
  constructor(place: Place, problem: string) {
    super(`${place.file}${place.line === undefined ? '' : `, line ${place.line}`}: ${problem}`)
    this.place = place
  }
}

export interface AuditVerdict {
  /** Numbers of the first and the last event. */
  readonly first: number
  readonly last: number
  /** Number of the last event that a signed head stands for: those behind it could have been cut off unseen. */
  readonly signed: number
  /** Bytes at the very end that are no whole line: a server was writing them, or was killed while it did. */
  readonly tornBytes: number
}

export interface SignedHead extends Link {
  /** Number of the journal's entry. */
  readonly entry: number
}

/** Takes the files in their order, line by line. */
export class AuditVerifier {
  readonly #heads: ReadonlyMap<number, SignedHead>
  readonly #lastHead: SignedHead | undefined
  readonly #from: number
  #file = ''
  #line = 0
  #first = 0
  #last: Link = BEFORE_FIRST
  #signed = 0
  /** What a signed head stands for; behind the last one anybody may have written such a note. */
  #removedUpTo = 0
  #removedUnsigned = 0
  #tornBytes = 0

  /**
   * @param heads - from a journal that was verified.
   * @param from - earlier events may be missing; they are kept elsewhere.
   */
  constructor(heads: readonly SignedHead[], from = 1) {
    this.#heads = new Map(heads.map((head) => [head.seq, head]))
    this.#lastHead = heads.at(-1)
    this.#from = from
  }

  /** How many lines have been verified so far. */
  get count(): number {
    return this.#first === 0 ? 0 : this.#last.seq - this.#first + 1
  }

  /** @throws {@link AuditBrokenError} if the file before this one has not ended with a whole line. */
  beginFile(name: string): void {
    if (this.#tornBytes > 0 || (this.#file !== '' && this.#line === 0)) {
      this.#line += 1
      throw this.#broken('it ends without a whole line: its end was cut off or changed')
    }
    this.#file = name
    this.#line = 0
  }

  /**
   * @param bytes - a line without its line feed.
   * @throws {@link AuditBrokenError}
   */
  next(bytes: Buffer): void {
    this.#line += 1
    const line = parseLine(bytes)
    if (line === undefined) throw this.#broken('it is no line of an audit file, or was changed')
    if (this.#line === 1) this.#enterFile(bytes, line.seq)
    const expected = this.#last.seq + 1
    if (line.seq > expected) {
      throw this.#broken(`events ${expected} to ${line.seq - 1} are missing`, expected, line.seq - 1)
    }
    if (line.seq < expected) {
      // It, or the one before it, does not belong here.
      throw this.#broken(`event ${line.seq} stands where event ${expected} should be`, expected - 1)
    }
    if (!isChainedTo(this.#last.hash, line)) {
      const since = this.#signed + 1
      throw since >= expected
        ? this.#broken('it was changed')
        : this.#broken(`it was changed, or lines before it were, from event ${since} on`, since)
    }
    this.#last = { seq: line.seq, hash: line.hash }
    this.#removedUnsigned = Math.max(this.#removedUnsigned, removedUpTo(bytes) ?? 0)
    this.#compareHead(this.#heads.get(line.seq))
  }

  /** @param tornBytes - bytes behind the last line feed of a file. */
  endFile(tornBytes: number): void {
    this.#tornBytes = tornBytes
  }

  /**
   * All files have ended.
   *
   * @throws {@link AuditBrokenError} if events are missing before or behind those that were there.
   */
  end(): AuditVerdict {
    const last = this.#last.seq
    if (this.#first === 0) throw this.#broken('the files have no events')
    const end = this.#lastHead?.seq ?? 0
    if (end > last) {
      this.#line = 0 // It is about no line.
      throw this.#broken(`events ${last + 1} to ${end} are missing: the files end before them`, last + 1, end)
    }
    const earlier = this.#first - 1
    if (earlier > Math.max(this.#removedUpTo, this.#from - 1)) {
      const place = { file: 'the first file', line: undefined, first: 1, last: earlier }
      throw new AuditBrokenError(
        place,
        `events 1 to ${earlier} are missing: an earlier file was removed by hand`,
      )
    }
    return { first: this.#first, last, signed: this.#signed, tornBytes: this.#tornBytes }
  }

  #enterFile(bytes: Buffer, seq: number): void {
    const header = parseHeader(bytes.toString())
    if (header === undefined)
      throw this.#broken('the file does not begin with the first line of an audit file')
    if (this.#first > 0) return
    // The first of the files: its own word for what is before it will do, for a head stands behind its first line.
    this.#first = seq
    this.#signed = seq - 1
    this.#last = { seq: seq - 1, hash: header.previous }
    this.#compareHead(this.#heads.get(seq - 1))
    if (seq === 1 && header.previous !== BEFORE_FIRST.hash) throw this.#broken('it was changed')
  }

  #compareHead(head: SignedHead | undefined): void {
    if (head === undefined) return
    if (head.hash !== this.#last.hash) {
      const since = this.#signed + 1
      const range = since >= head.seq ? `event ${head.seq} was` : `events ${since} to ${head.seq} were`
      const problem = `${range} changed and chained anew: entry ${head.entry} of the journal signs another line`
      throw this.#broken(problem, since, head.seq)
    }
    this.#signed = head.seq
    this.#removedUpTo = this.#removedUnsigned
  }

  #broken(problem: string, first?: number, last?: number): AuditBrokenError {
    const expected = this.#last.seq + 1
    const place = { file: this.#file, line: this.#line > 0 ? this.#line : undefined }
    return new AuditBrokenError({ ...place, first: first ?? expected, last: last ?? expected }, problem)
  }
}
