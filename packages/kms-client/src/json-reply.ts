/** Reads the JSON objects of replies field by field, and says which one is not as expected. */
import { decodeBase64, InvalidBase64Error } from './base64.ts'
import { KesProtocolError } from './errors.ts'

export class JsonReply {
  readonly #call: string
  readonly #fields: Readonly<Record<string, unknown>>

  /** @param call - for messages, such as `/v1/status`. */
  constructor(call: string, value: unknown) {
    this.#call = call
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#fault('is not an object')
    }
    this.#fields = value as Readonly<Record<string, unknown>>
  }

  /** @throws {@link KesProtocolError} if the text is not a JSON object. */
  static parse(call: string, text: string): JsonReply {
    return new JsonReply(call, parseJson(call, text))
  }

  /** As {@link parse}, for a list of objects. */
  static parseList(call: string, text: string): JsonReply[] {
    const list = parseJson(call, text)
    if (!Array.isArray(list)) throw fault(call, 'is not a list')
    return list.map((item) => new JsonReply(call, item))
  }

  /** All methods: @throws {@link KesProtocolError} if the field has another type. */
  text(field: string): string {
    const value = this.#fields[field]
    if (typeof value !== 'string') throw this.#fault(`has no text in '${field}'`)
    return value
  }

  /** `undefined` if the field is absent, null or empty, which KES does not tell apart. */
  textIfAny(field: string): string | undefined {
    return isAbsent(this.#fields[field]) || this.#fields[field] === '' ? undefined : this.text(field)
  }

  number(field: string): number {
    const value = this.#fields[field]
    if (typeof value !== 'number') throw this.#fault(`has no number in '${field}'`)
    return value
  }

  numberIfAny(field: string): number | undefined {
    return isAbsent(this.#fields[field]) ? undefined : this.number(field)
  }

  /** False if absent. */
  flag(field: string): boolean {
    const value = this.#fields[field] ?? false
    if (typeof value !== 'boolean') throw this.#fault(`has no true or false in '${field}'`)
    return value
  }

  bytes(field: string): Buffer {
    try {
      return decodeBase64(this.text(field))
    } catch (error) {
      if (error instanceof InvalidBase64Error) throw this.#fault(`has no base64 in '${field}'`)
      throw error
    }
  }

  object(field: string): JsonReply {
    return new JsonReply(`${this.#call}: ${field}`, this.#fields[field])
  }

  /** `undefined` if the field is absent or null. */
  objectIfAny(field: string): JsonReply | undefined {
    return isAbsent(this.#fields[field]) ? undefined : this.object(field)
  }

  /** Empty if null, as some stores of a Go KES list nothing. */
  texts(field: string): string[] {
    return this.#array(field).map((item) => {
      if (typeof item !== 'string') throw this.#fault(`has something else than texts in '${field}'`)
      return item
    })
  }

  /** Empty if null. */
  objects(field: string): JsonReply[] {
    return this.#array(field).map((item) => new JsonReply(`${this.#call}: ${field}`, item))
  }

  /** An object of texts and numbers; `undefined` if it is absent or null. */
  scalarsIfAny(field: string): Readonly<Record<string, string | number>> | undefined {
    if (isAbsent(this.#fields[field])) return undefined
    const fields = Object.entries(this.object(field).#fields).map(([name, value]) => {
      if (typeof value === 'string' || typeof value === 'number') return [name, value] as const
      throw this.#fault(`has something else than texts and numbers in '${field}'`)
    })
    return Object.fromEntries(fields)
  }

  /** The names of an object's fields; empty if the object is absent. */
  keysOf(field: string): string[] {
    return isAbsent(this.#fields[field]) ? [] : Object.keys(this.object(field).#fields)
  }

  #array(field: string): readonly unknown[] {
    const value = this.#fields[field]
    if (value === null) return []
    if (!Array.isArray(value)) throw this.#fault(`has no list in '${field}'`)
    return value
  }

  #fault(problem: string): KesProtocolError {
    return fault(this.#call, problem)
  }
}

function parseJson(call: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The error is no cause to keep: it quotes the text, which may be a data key.
    throw fault(call, 'is not JSON')
  }
}

function fault(call: string, problem: string): KesProtocolError {
  return new KesProtocolError(`the server's reply to ${call} ${problem}`)
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null
}
