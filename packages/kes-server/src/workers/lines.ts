/** Lines on their way from a worker to its supervisor: gathered for a moment, and sent as one message. */

/** Sent at once when so much has come together. */
const BATCH_CHARACTERS = 64 * 1024
/** A supervisor that takes nothing for so long that more than this waits has its lines dropped. */
const WAITING_CHARACTERS_MAX = 64 * 1024 * 1024

export class Lines {
  readonly #send: (lines: string, onSent: () => void) => void
  readonly #delayMs: number
  #gathered = ''
  #waitingCharacters = 0
  #timer: NodeJS.Timeout | undefined
  #dropped = 0

  /** @param delayMs - how long the first line of a message waits for others; 0: until the end of the turn. */
  constructor(delayMs: number, send: (lines: string, onSent: () => void) => void) {
    this.#delayMs = delayMs
    this.#send = send
  }

  /** How many lines were lost. */
  get dropped(): number {
    return this.#dropped
  }

  /** @param line - with its newline. */
  write(line: string): void {
    if (this.#waitingCharacters > WAITING_CHARACTERS_MAX) {
      this.#dropped += 1
      return
    }
    this.#gathered += line
    if (this.#gathered.length >= BATCH_CHARACTERS) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), this.#delayMs)
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const lines = this.#gathered
    if (lines === '') return
    this.#gathered = ''
    this.#waitingCharacters += lines.length
    this.#send(lines, () => {
      this.#waitingCharacters -= lines.length
    })
  }
}

/** The lines of a message, each with its newline. */
export function splitLines(lines: string): string[] {
  return lines.split(/(?<=\n)/)
}
