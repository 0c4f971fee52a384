/** What a storage server needs of a KMS, whichever it is. */
import type { CallOptions, LogOptions } from '../client.ts'
import type { Api, ServerVersion } from '../replies.ts'
import type { KmsContext } from './context.ts'
import type { KmsError } from './kms-error.ts'
import type { SecretKey } from './secret-key.ts'

export interface GenerateRequest extends CallOptions {
  /** Default: the default key. */
  readonly key?: string | undefined
  /** Authenticated, not stored: {@link Kms.decrypt} must present the same. */
  readonly context?: KmsContext | undefined
}

export interface DecryptRequest extends CallOptions {
  readonly key: string
  readonly ciphertext: Uint8Array
  readonly context?: KmsContext | undefined
}

export interface MacRequest extends CallOptions {
  /** Default: the default key. */
  readonly key?: string | undefined
  readonly message: Uint8Array
}

export interface KmsDataKey {
  /** Name of the key under which the ciphertext can be decrypted: to be stored beside it. */
  readonly key: string
  readonly plaintext: SecretKey
  readonly ciphertext: Uint8Array
}

export interface KmsEndpointStatus {
  readonly endpoint: string
  readonly state: 'online' | 'offline'
  /** Why it is offline. */
  readonly problem?: string
}

export interface KmsStatus {
  readonly type: Kms['type']
  readonly defaultKey: string
  /** None of a built-in KMS. */
  readonly endpoints: readonly KmsEndpointStatus[]
}

/** What {@link Kms.checkKey} finds. A key that works has neither error. */
export interface KmsKeyStatus {
  readonly key: string
  readonly encryptionError?: KmsError
  readonly decryptionError?: KmsError
}

/**
 * `erased`: there was such a key, and the server's journal says so. `absent`: there was none, or nobody kept a record
 * of it, as a Go KES does not.
 */
export type KmsKeyState = 'enabled' | 'disabled' | 'pending' | 'damaged' | 'erased' | 'absent' | (string & {})

/** Every method throws a {@link KmsError}, or the reason of the call's signal. */
export interface Kms extends AsyncDisposable {
  readonly type: 'MinIO KES' | 'MinIO builtin'
  readonly defaultKey: string

  /**
   * What a storage server does with its KMS before it serves: sees that the default key works, and makes it if there
   * is none. A locked key, or a policy that allows neither, is no error here: what needs no key can be served.
   *
   * @throws {@link KmsError} if no key server can be reached, or the default key was erased and its name is reserved.
   */
  start(options?: CallOptions): Promise<void>

  /** A new data key of 32 bytes. */
  generateKey(request?: GenerateRequest): Promise<KmsDataKey>
  decrypt(request: DecryptRequest): Promise<SecretKey>
  /** HMAC-SHA-256, 32 bytes. */
  mac(request: MacRequest): Promise<Uint8Array>

  createKey(name: string, options?: CallOptions): Promise<void>
  /** Names that begin with the prefix, in ascending order. */
  listKeys(prefix?: string, options?: CallOptions): AsyncIterable<string>
  /** How the key stands; needs a policy that allows to describe it and, once it is gone, to read its history. */
  keyState(name?: string, options?: CallOptions): Promise<KmsKeyState>
  /**
   * The names of keys that can't be used now, and then of each that becomes so, within moments, until `signal` ends it.
   * One connection: when it breaks, begin anew. For who must stop a read that is under way; the next call of
   * {@link decrypt} is refused in any case.
   *
   * @throws {@link KmsError} where the KMS can't tell (a Go KES: `failed`), or does not allow it.
   */
  watchLocks(options?: LogOptions): AsyncIterable<string>
  /** Whether a data key that is made under the key can be decrypted again. */
  checkKey(name?: string, options?: CallOptions): Promise<KmsKeyStatus>

  /** Never fails: an endpoint that can't be reached is offline. */
  status(options?: CallOptions): Promise<KmsStatus>
  version(options?: CallOptions): Promise<ServerVersion>
  apis(options?: CallOptions): Promise<Api[]>

  close(): Promise<void>
}
