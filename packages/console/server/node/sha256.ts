/** SHA-256 and HMAC-SHA-256 in the shape in which the signer asks for them. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'

export type SourceData = string | ArrayBuffer | ArrayBufferView

export class Sha256 {
  readonly #key: Buffer | undefined
  #digest: Hash | Hmac

  constructor(key?: SourceData) {
    this.#key = key === undefined ? undefined : bytesOf(key)
    this.#digest = this.#begin()
  }

  update(data: Uint8Array): void {
    this.#digest.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.#digest.digest()
  }

  reset(): void {
    this.#digest = this.#begin()
  }

  #begin(): Hash | Hmac {
    return this.#key === undefined ? createHash('sha256') : createHmac('sha256', this.#key)
  }
}

function bytesOf(data: SourceData): Buffer {
  if (typeof data === 'string') return Buffer.from(data)
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data)
}
