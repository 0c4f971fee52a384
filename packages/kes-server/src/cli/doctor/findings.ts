/** What the doctor has looked at, and what it says of it. */

export type Result = 'ok' | 'warning' | 'problem'

export interface Finding {
  /** What was examined: an endpoint, or a config file. */
  readonly subject: string
  /** One of the words that docs/doctor.md lists. */
  readonly check: string
  readonly result: Result
  /** A sentence without its full stop. Never holds a secret. */
  readonly message: string
  /** What to do, as a sentence without its full stop. */
  readonly advice?: string
  /** Lines to paste. */
  readonly commands?: readonly string[]
}

export type Remedy = Pick<Finding, 'advice' | 'commands'>

/** Collects what is found of one subject. */
export class Findings {
  readonly #subject: string
  readonly #all: Finding[] = []

  constructor(subject: string) {
    this.#subject = subject
  }

  get all(): readonly Finding[] {
    return this.#all
  }

  ok(check: string, message: string): void {
    this.#add('ok', check, message)
  }

  warn(check: string, message: string, remedy?: Remedy): void {
    this.#add('warning', check, message, remedy)
  }

  problem(check: string, message: string, remedy?: Remedy): void {
    this.#add('problem', check, message, remedy)
  }

  #add(result: Result, check: string, message: string, remedy: Remedy = {}): void {
    this.#all.push({ subject: this.#subject, check, result, message, ...remedy })
  }
}
