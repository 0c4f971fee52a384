/** Finds secrets in what a program wrote: as they are, and in the encodings that a log may have made of them. */

/** Shorter texts occur by chance, or are no secrets. */
const SECRET_LENGTH_MIN = 16
const BASE64_RUN = /[A-Za-z0-9+/]{22,}={0,2}/g

/** Remembers what must never be written down. */
export class Secrets {
  readonly #forms = new Set<string>()

  /** Bytes: searched for raw, in hex and in base64. */
  addBytes(bytes: Buffer): void {
    if (bytes.length < SECRET_LENGTH_MIN) return
    if (bytes.every((byte) => byte === 0)) return // In base64 it looks like a name of many letters `a`.
    this.#forms.add(bytes.toString('latin1'))
    this.#forms.add(bytes.toString('hex'))
    this.#forms.add(bytes.toString('base64').replace(/=+$/, ''))
    this.#forms.add(bytes.toString('base64url'))
  }

  /** A request's body: whatever in it looks like base64 stands for a key, a plaintext or a context. */
  addBody(body: Buffer): void {
    for (const [run] of body.toString('latin1').matchAll(BASE64_RUN))
      this.addBytes(Buffer.from(run, 'base64'))
  }

  /** A reply's body: the fields that hold what a caller keeps to himself. */
  addReply(body: Buffer): void {
    for (const [, text = ''] of body.toString('latin1').matchAll(/"(?:plaintext|hmac)":"([^"]*)"/g)) {
      this.addBytes(Buffer.from(text, 'base64'))
    }
  }

  /** The forms of secrets that stand in `written`, in any case. */
  findIn(written: string): string[] {
    const lower = written.toLowerCase()
    return [...this.#forms].filter((form) => written.includes(form) || lower.includes(form.toLowerCase()))
  }
}
