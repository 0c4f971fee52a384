/** A bar that fills while something is done, on terminals only. */
import type { Io } from './io.ts'

const BAR_CELLS = 24
const INTERVAL_MS = 100

export class ProgressBar {
  readonly #io: Io
  readonly #unit: string
  #shownMs = Number.NEGATIVE_INFINITY

  /** @param unit - what is counted, such as `records`. */
  constructor(io: Io, unit: string) {
    this.#io = io
    this.#unit = unit
  }

  show(done: number, total: number): void {
    if (!this.#io.stderr.isTerminal) return
    const nowMs = performance.now()
    if (nowMs - this.#shownMs < INTERVAL_MS && done < total) return
    this.#shownMs = nowMs
    const part = total === 0 ? 1 : Math.min(1, done / total)
    const cells = Math.round(part * BAR_CELLS)
    const bar = '█'.repeat(cells) + '░'.repeat(BAR_CELLS - cells)
    const counts = `${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${this.#unit}`
    this.#io.stderr.write(`\r\u001b[K${bar} ${String(Math.floor(part * 100)).padStart(3)} %  ${counts}`)
  }

  clear(): void {
    if (this.#io.stderr.isTerminal) this.#io.stderr.write('\r\u001b[K')
  }
}
