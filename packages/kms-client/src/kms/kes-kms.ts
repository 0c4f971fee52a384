/** A KMS that is one or several key servers. */
import { KeyNotFoundError, NotFoundError } from '../api-error.ts'
import type { CallOptions, KesClient, LogOptions } from '../client.ts'
import { KesProtocolError } from '../errors.ts'
import type { Api, DataKey, ServerVersion } from '../replies.ts'
import { encodeContext } from './context.ts'
import type {
  DecryptRequest,
  GenerateRequest,
  Kms,
  KmsDataKey,
  KmsEndpointStatus,
  KmsKeyState,
  KmsKeyStatus,
  KmsStatus,
  MacRequest,
} from './kms.ts'
import { KmsError, type KmsErrorReason, type KmsOperation, kmsErrorOf } from './kms-error.ts'
import { SecretKey } from './secret-key.ts'

const DATA_KEY_BYTES = 32
/** A server starts in spite of these. */
const TOLERATED_AT_START: readonly KmsErrorReason[] = ['locked', 'not-allowed']
const CHECK_CONTEXT = { 'MinIO admin API': 'KMSKeyStatusHandler' }

export class KesKms implements Kms {
  readonly type = 'MinIO KES'
  readonly defaultKey: string
  readonly #client: KesClient

  /** @param client - is closed with the KMS. */
  constructor(client: KesClient, defaultKey: string) {
    this.#client = client
    this.defaultKey = defaultKey
  }

  async start(options?: CallOptions): Promise<void> {
    try {
      await this.#makeDefaultKey(options)
    } catch (error) {
      if (!(error instanceof KmsError && TOLERATED_AT_START.includes(error.reason))) throw error
    }
  }

  async generateKey(request: GenerateRequest = {}): Promise<KmsDataKey> {
    const key = request.key ?? this.defaultKey
    const { plaintext, ciphertext } = await explain('generate', key, async () =>
      checkDataKey(await this.#client.generateKey(key, encodeContext(request.context), request)),
    )
    return { key, plaintext: new SecretKey(plaintext), ciphertext }
  }

  async decrypt({ key, ciphertext, context, ...options }: DecryptRequest): Promise<SecretKey> {
    const plaintext = await explain('decrypt', key, () =>
      this.#client.decrypt(key, ciphertext, encodeContext(context), options),
    )
    return new SecretKey(plaintext)
  }

  async mac({ key = this.defaultKey, message, ...options }: MacRequest): Promise<Uint8Array> {
    return await explain('mac', key, () => this.#client.hmac(key, message, options))
  }

  async createKey(name: string, options?: CallOptions): Promise<void> {
    await explain('create', name, () => this.#client.createKey(name, options))
  }

  async *listKeys(prefix?: string, options?: CallOptions): AsyncGenerator<string> {
    try {
      yield* this.#client.listKeys(prefix, options)
    } catch (error) {
      throw kmsErrorOf(error, 'list')
    }
  }

  async keyState(name = this.defaultKey, options?: CallOptions): Promise<KmsKeyState> {
    return await explain('describe', name, async () => {
      try {
        return (await this.#client.describeKey(name, options)).state ?? 'enabled'
      } catch (error) {
        if (!(error instanceof KeyNotFoundError)) throw error
        return (await this.#wasThere(name, options)) ? 'erased' : 'absent'
      }
    })
  }

  async *watchLocks(options?: LogOptions): AsyncGenerator<string> {
    try {
      for await (const event of this.#client.watchKeys('', options)) {
        if (event.event !== 'snapshot-end' && event.state !== 'enabled') yield event.name
      }
    } catch (error) {
      throw kmsErrorOf(error, 'watch')
    }
  }

  async checkKey(key = this.defaultKey, options: CallOptions = {}): Promise<KmsKeyStatus> {
    try {
      const made = await this.generateKey({ ...options, key, context: CHECK_CONTEXT })
      using plaintext = made.plaintext
      using decrypted = await this.decrypt({ ...options, ...made, context: CHECK_CONTEXT })
      if (decrypted.equals(plaintext)) return { key }
      const cause = new KesProtocolError('The generated and the decrypted data key do not match')
      return { key, decryptionError: new KmsError('failed', 'decrypt', key, { cause }) }
    } catch (error) {
      if (!(error instanceof KmsError)) throw error
      return error.operation === 'generate'
        ? { key, encryptionError: error }
        : { key, decryptionError: error }
    }
  }

  async status(options?: CallOptions): Promise<KmsStatus> {
    const endpoints = await this.#client.endpoints(options)
    return {
      type: this.type,
      defaultKey: this.defaultKey,
      endpoints: endpoints.map(
        ({ endpoint, problem }): KmsEndpointStatus =>
          problem === undefined
            ? { endpoint, state: 'online' }
            : { endpoint, state: 'offline', problem: problem.message },
      ),
    }
  }

  async version(options?: CallOptions): Promise<ServerVersion> {
    return await explain('version', undefined, () => this.#client.version(options))
  }

  async apis(options?: CallOptions): Promise<Api[]> {
    return await explain('apis', undefined, () => this.#client.apis(options))
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #makeDefaultKey(options?: CallOptions): Promise<void> {
    const tryIt = async () => {
      const { plaintext } = await this.generateKey(options)
      plaintext[Symbol.dispose]()
    }
    try {
      await tryIt()
    } catch (error) {
      if (!(error instanceof KmsError && error.reason === 'erased')) throw error
      if (await this.#createIfAbsent(this.defaultKey, options)) return
      await tryIt() // Another server has made it just now, or its name is reserved.
    }
  }

  async #createIfAbsent(name: string, options?: CallOptions): Promise<boolean> {
    try {
      await this.createKey(name, options)
      return true
    } catch (error) {
      if (error instanceof KmsError && error.reason === 'exists') return false
      throw error
    }
  }

  async #wasThere(name: string, options?: CallOptions): Promise<boolean> {
    try {
      for await (const _ of this.#client.keyHistory(name, options)) return true
      return false
    } catch (error) {
      if (error instanceof KeyNotFoundError || error instanceof NotFoundError) return false
      throw error
    }
  }
}

async function explain<Result>(
  operation: KmsOperation,
  key: string | undefined,
  call: () => Promise<Result>,
): Promise<Result> {
  try {
    return await call()
  } catch (error) {
    throw kmsErrorOf(error, operation, key)
  }
}

function checkDataKey(dataKey: DataKey): DataKey {
  if (dataKey.plaintext.length === DATA_KEY_BYTES && dataKey.ciphertext.length > 0) return dataKey
  throw new KesProtocolError(`the key server gave a data key of ${dataKey.plaintext.length} bytes`)
}
