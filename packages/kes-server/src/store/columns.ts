/** Reads a row's columns, whose types SQLite does not guarantee once a page of the file is damaged. */

/** A column holds what no writer puts there. */
export class ColumnError extends Error {
  override readonly name = 'ColumnError'
  constructor(column: string, expected: string) {
    super(`column ${column} is not ${expected}`)
  }
}

export class Columns {
  readonly #row: Readonly<Record<string, unknown>>

  /** @param row - as better-sqlite3 gives it: an object of columns. */
  constructor(row: unknown) {
    this.#row = Object(row)
  }

  text(column: string): string {
    const value = this.#row[column]
    if (typeof value !== 'string') throw new ColumnError(column, 'text')
    return value
  }

  /** @param length - any if undefined. */
  bytes(column: string, length?: number): Uint8Array {
    const value = this.#row[column]
    const isRight = value instanceof Uint8Array && (length === undefined || value.length === length)
    if (!isRight) throw new ColumnError(column, length === undefined ? 'bytes' : `${length} bytes`)
    return value
  }

  /** For bytes that authenticate themselves: what isn't bytes is as wrong as wrong bytes. */
  bytesAsFound(column: string): Uint8Array {
    const value = this.#row[column]
    return value instanceof Uint8Array ? value : new Uint8Array(0)
  }

  /** For texts that are compared with what is authenticated. */
  textAsFound(column: string): string {
    const value = this.#row[column]
    return typeof value === 'string' ? value : ''
  }

  integer(column: string, min: number): number {
    const value = this.#row[column]
    const isRight = typeof value === 'number' && Number.isSafeInteger(value) && value >= min
    if (!isRight) throw new ColumnError(column, `an integer of ${min} or more`)
    return value
  }
}
