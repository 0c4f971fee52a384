/** Large buffers for data on its way, kept for the next who needs one: the pages of a new one cost as much as the work. */
export class Blocks {
  readonly #bytes: number
  readonly #max: number
  readonly #kept: Buffer[] = []

  /**
   * @param bytes - of each.
   * @param max - how many are kept while nobody needs them.
   */
  constructor(bytes: number, max: number) {
    this.#bytes = bytes
    this.#max = max
  }

  take(): Buffer {
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(this.#bytes)
  }

  /** Nobody may look at it any more: it is wiped. One that is not given back is collected like any other. */
  giveBack(block: Buffer): void {
    if (this.#kept.length >= this.#max) return
    block.fill(0)
    this.#kept.push(block)
  }
}
