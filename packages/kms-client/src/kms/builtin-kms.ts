/** The KMS without a server: one key, from the environment. For development, and for data that was written so. */
import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import type { CallOptions, LogOptions } from '../client.ts'
import type { Api, ServerVersion } from '../replies.ts'
import { decryptDataKey, encryptDataKey } from './builtin-ciphertext.ts'
import { encodeContext } from './context.ts'
import type {
  DecryptRequest,
  GenerateRequest,
  Kms,
  KmsDataKey,
  KmsKeyState,
  KmsKeyStatus,
  KmsStatus,
  MacRequest,
} from './kms.ts'
import { KmsError, type KmsOperation } from './kms-error.ts'
import { SecretKey } from './secret-key.ts'

export const SECRET_KEY_BYTES = 32
const DATA_KEY_BYTES = 32

export class BuiltinKms implements Kms {
  readonly type = 'MinIO builtin'
  /** The only key there is. */
  readonly defaultKey: string
  readonly #secretKey: KeyObject

  /**
   * @param secretKey - 32 bytes; the caller may wipe them afterwards.
   * @throws TypeError if they are not 32.
   */
  constructor(name: string, secretKey: Uint8Array) {
    if (secretKey.length !== SECRET_KEY_BYTES) {
      throw new TypeError(`a secret key has ${SECRET_KEY_BYTES} bytes, not ${secretKey.length}`)
    }
    this.defaultKey = name
    this.#secretKey = createSecretKey(secretKey)
  }

  async start(): Promise<void> {}

  async generateKey({ key = this.defaultKey, context, signal }: GenerateRequest = {}): Promise<KmsDataKey> {
    this.#check('generate', key, signal)
    const plaintext = randomBytes(DATA_KEY_BYTES)
    const ciphertext = encryptDataKey(this.#secretKey, plaintext, encodeContext(context))
    return { key, plaintext: new SecretKey(plaintext), ciphertext }
  }

  async decrypt({ key, ciphertext, context, signal }: DecryptRequest): Promise<SecretKey> {
    this.#check('decrypt', key, signal)
    const plaintext = decryptDataKey(this.#secretKey, ciphertext, encodeContext(context))
    if (plaintext === undefined) throw new KmsError('wrong-ciphertext', 'decrypt', key)
    return new SecretKey(plaintext)
  }

  async mac({ key = this.defaultKey, message, signal }: MacRequest): Promise<Uint8Array> {
    this.#check('mac', key, signal)
    return createHmac('sha256', this.#secretKey).update(message).digest()
  }

  async createKey(name: string): Promise<void> {
    throw new KmsError(name === this.defaultKey ? 'exists' : 'unsupported', 'create', name)
  }

  async *listKeys(prefix = ''): AsyncGenerator<string> {
    if (this.defaultKey.startsWith(prefix)) yield this.defaultKey
  }

  async keyState(name = this.defaultKey): Promise<KmsKeyState> {
    return name === this.defaultKey ? 'enabled' : 'absent'
  }

  /** The one key is never locked. */
  async *watchLocks({ signal, onOpen }: LogOptions = {}): AsyncGenerator<string> {
    onOpen?.()
    await new Promise((_resolve, reject) => {
      if (signal?.aborted) reject(signal.reason)
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }

  async checkKey(name = this.defaultKey): Promise<KmsKeyStatus> {
    if (name === this.defaultKey) return { key: name }
    return { key: name, encryptionError: new KmsError('erased', 'generate', name) }
  }

  async status(): Promise<KmsStatus> {
    return { type: this.type, defaultKey: this.defaultKey, endpoints: [] }
  }

  async version(): Promise<ServerVersion> {
    return { version: 'v1', commit: '' }
  }

  async apis(): Promise<Api[]> {
    throw new KmsError('unsupported', 'apis', undefined)
  }

  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #check(operation: KmsOperation, key: string, signal: CallOptions['signal']): void {
    signal?.throwIfAborted()
    if (key !== this.defaultKey) throw new KmsError('erased', operation, key)
  }
}
