/**
 * Bodies on their way from a worker to the supervisor. A message between processes passes through buffers that nobody can
 * wipe, and a body may hold a key or a passphrase: so it crosses sealed, and what stays behind is noise.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { randomSecret } from '../encoding/secret-bytes.ts'
import { aeadOpen, aeadSeal } from '../seal/aead.ts'

const KEY_BYTES = 32
const LABEL = Buffer.from('latchkey worker body v1')

export class BodySeal {
  readonly #key: KeyObject

  /** @param key - 32 bytes; wiped. */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key)
    key.fill(0)
  }

  static generate(): BodySeal {
    return new BodySeal(randomSecret(KEY_BYTES))
  }

  /** For the other side; whoever sends it wipes it. */
  exportKey(): Uint8Array {
    return this.#key.export()
  }

  /** @param body - wiped. */
  seal(body: Buffer): Uint8Array {
    const sealed = aeadSeal(this.#key, LABEL, body)
    body.fill(0)
    return sealed
  }

  /** @returns the body; whoever reads it wipes it. */
  open(sealed: Uint8Array): Buffer {
    const body = aeadOpen(this.#key, LABEL, sealed)
    if (body === undefined) throw new Error('a body was damaged between two processes')
    return body
  }
}
