/** An application: notes, each encrypted with a data key of its own, which only the key server can open again. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import {
  type DataKey,
  type KesClient,
  KesClientError,
  KeyDisabledError,
  KeyNotFoundError,
  NotAuthenticError,
} from '@latchkey/kms-client'

const DEADLINE_MS = 5000

/** What the application tells its users. */
export class NoteError extends Error {
  readonly reason: 'locked' | 'lost' | 'unavailable'
  constructor(reason: NoteError['reason'], options: ErrorOptions) {
    super(`the note is ${reason}`, options)
    this.reason = reason
  }
}

interface StoredNote {
  readonly dataKey: Uint8Array
  readonly iv: Buffer
  readonly text: Buffer
  readonly tag: Buffer
}

export class Notes {
  readonly #kes: KesClient
  readonly #keyName: string
  readonly #stored = new Map<string, StoredNote>()

  constructor(kes: KesClient, keyName: string) {
    this.#kes = kes
    this.#keyName = keyName
  }

  /** @throws {@link NoteError}; nothing is stored then. */
  async write(title: string, text: string): Promise<void> {
    const { plaintext, ciphertext } = await translate<DataKey>(
      this.#kes.generateKey(this.#keyName, Buffer.from(title), { timeoutMs: DEADLINE_MS }),
    )
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', plaintext, iv)
    const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    this.#stored.set(title, { dataKey: ciphertext, iv, text: encrypted, tag: cipher.getAuthTag() })
  }

  /** @throws {@link NoteError} */
  async read(title: string, timeoutMs = DEADLINE_MS): Promise<string> {
    const note = this.#stored.get(title)
    if (note === undefined) throw new RangeError(`there is no note '${title}'`)
    const dataKey = await translate<Uint8Array>(
      this.#kes.decrypt(this.#keyName, note.dataKey, Buffer.from(title), { timeoutMs }),
    )
    const decipher = createDecipheriv('aes-256-gcm', dataKey, note.iv).setAuthTag(note.tag)
    return Buffer.concat([decipher.update(note.text), decipher.final()]).toString('utf8')
  }
}

async function translate<Result>(call: Promise<Result>): Promise<Result> {
  try {
    return await call
  } catch (cause) {
    if (cause instanceof KeyDisabledError) throw new NoteError('locked', { cause })
    if (cause instanceof KeyNotFoundError) throw new NoteError('lost', { cause })
    if (cause instanceof NotAuthenticError) throw new NoteError('lost', { cause })
    if (cause instanceof KesClientError) throw new NoteError('unavailable', { cause })
    throw cause
  }
}
