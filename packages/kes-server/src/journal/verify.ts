/** Verifies a chain of entries with a public key from elsewhere, and names the first entry that is wrong. */
import type { KeyObject } from 'node:crypto'
import {
  decodeEntry,
  type Entry,
  EntryFormatError,
  HASH_BYTES,
  hashOf,
  isSignedBy,
  type SignedEntry,
} from './entry.ts'
import type { JournalHead } from './journal.ts'

/** The journal is not as its signer wrote it. */
export class JournalBrokenError extends Error {
  override readonly name = 'JournalBrokenError'
  /** Of the first entry that is wrong, missing or too many. */
  readonly number: number
  constructor(number: number, problem: string) {
    super(`entry ${number}: ${problem}`)
    this.number = number
  }
}

/** An entry with what the store has it under. */
export interface FiledEntry extends SignedEntry {
  readonly number: unknown
  readonly name: unknown
}

/** Takes a journal entry by entry, from the first to the last. */
export class JournalVerifier {
  readonly #publicKey: KeyObject
  readonly #expected: JournalHead | undefined
  #number = 0
  #hash: Uint8Array = new Uint8Array(HASH_BYTES)
  #storeId: Uint8Array | undefined

  /**
   * @param publicKey - never one that came with the entries.
   * @param expected - a head that was seen before: the journal must contain it.
   */
  constructor(publicKey: KeyObject, expected?: JournalHead) {
    this.#publicKey = publicKey
    this.#expected = expected
  }

  /** @throws {@link JournalBrokenError} */
  next(signed: SignedEntry): Entry {
    const number = this.#number + 1
    if (!isSignedBy(this.#publicKey, signed)) {
      const why =
        number === 1 ? 'it was changed, or the public key is that of another journal' : 'it was changed'
      throw new JournalBrokenError(number, `the signature is not valid: ${why}`)
    }
    const entry = this.#decode(signed, number)
    if (entry.number > number) {
      throw new JournalBrokenError(number, `it is missing: entry ${entry.number} stands in its place`)
    }
    if (entry.number < number) {
      throw new JournalBrokenError(number, `entry ${entry.number} stands in its place`)
    }
    if (Buffer.compare(entry.previous, this.#hash) !== 0) {
      throw new JournalBrokenError(
        number,
        'it does not follow the entry before it: one of them is from another time',
      )
    }
    this.#storeId ??= entry.storeId
    if (Buffer.compare(entry.storeId, this.#storeId) !== 0) {
      throw new JournalBrokenError(number, 'it is of another store')
    }
    this.#number = number
    this.#hash = hashOf(signed.bytes)
    const expected = this.#expected?.number === number ? this.#expected.hash : this.#hash
    if (Buffer.compare(this.#hash, expected) !== 0) {
      throw new JournalBrokenError(
        number,
        'it is not the entry that was expected: the journal was rolled back',
      )
    }
    return entry
  }

  /**
   * As {@link JournalVerifier.next}, for an entry of an export. By number and name the server finds the entries of a
   * key, so one that the store has under others is hidden from it.
   */
  nextFiled(filed: FiledEntry): Entry {
    const entry = this.next(filed)
    if (filed.number === entry.number && filed.name === entry.name) return entry
    throw new JournalBrokenError(entry.number, 'the store has it under another number or name')
  }

  /**
   * The journal has ended.
   *
   * @throws {@link JournalBrokenError} if it is empty, or ends before the expected head.
   */
  end(): JournalHead {
    const least = this.#expected?.number ?? 1
    if (this.#number < least) {
      const why = `it is missing: the journal ends with entry ${this.#number}`
      throw new JournalBrokenError(this.#number + 1, why)
    }
    return this.head()
  }

  /** What has been verified so far. */
  head(): JournalHead {
    return { number: this.#number, hash: this.#hash }
  }

  #decode(signed: SignedEntry, number: number): Entry {
    try {
      return decodeEntry(signed.bytes)
    } catch (error) {
      if (!(error instanceof EntryFormatError)) throw error
      throw new JournalBrokenError(number, error.message)
    }
  }
}

/** `42:` and 64 hex digits. */
export function formatHead({ number, hash }: JournalHead): string {
  return `${number}:${Buffer.from(hash).toString('hex')}`
}

/** @returns undefined if the text is no head. */
export function parseHead(text: string): JournalHead | undefined {
  const [, number = '', hash = ''] = /^([1-9][0-9]{0,14}):([0-9a-f]{64})$/.exec(text.trim()) ?? []
  return number === '' ? undefined : { number: Number(number), hash: Buffer.from(hash, 'hex') }
}
