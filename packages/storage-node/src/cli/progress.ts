/** How far long work has come, on one line of a terminal; nothing where nobody looks. */
import type { Io } from './program.ts'

const INTERVAL_MS = 100
const BAR_COLUMNS = 30

export class ProgressLine implements Disposable {
  readonly #io: Io
  readonly #unit: string
  #shownMs = 0
  #isShown = false

  /** @param unit - what is counted. */
  constructor(io: Io, unit: string) {
    this.#io = io
    this.#unit = unit
  }

  show(done: number, total: number): void {
    const nowMs = performance.now()
    if (this.#io.stderr.isTTY !== true || nowMs - this.#shownMs < INTERVAL_MS) return
    this.#shownMs = nowMs
    this.#isShown = true
    const part = total === 0 ? 1 : done / total
    const filled = Math.round(part * BAR_COLUMNS)
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_COLUMNS - filled)
    this.#io.stderr.write(`\r${bar} ${done}/${total} ${this.#unit}`)
  }

  /** Clears the line, so that what comes next stands alone. */
  end(): void {
    if (this.#isShown) this.#io.stderr.write('\r\u001b[K')
    this.#isShown = false
  }

  [Symbol.dispose](): void {
    this.end()
  }
}
