/** Long work on a terminal: a line on stderr that counts. */
import type { Io } from './io.ts'

export class Progress {
  readonly #io: Io
  readonly #what: string
  readonly #step: number

  /** @param step - how many pass between two looks of the line. */
  constructor(io: Io, what: string, step: number) {
    this.#io = io
    this.#what = what
    this.#step = step
  }

  show(count: number): void {
    const { stderr } = this.#io
    if (stderr.isTerminal && count % this.#step === 0) stderr.write(`\r${count} ${this.#what} …`)
  }

  clear(): void {
    const { stderr } = this.#io
    if (stderr.isTerminal) stderr.write('\r\u001b[K')
  }
}
