/** A value of the config file that no log, error or dump may show. */
import { inspect } from 'node:util'

export const MASKED = '***'

export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The value itself, for the one place that needs it. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return MASKED
  }

  toJSON(): string {
    return MASKED
  }

  [inspect.custom](): string {
    return MASKED
  }
}
