/**
 * API keys: a client's private key as one line of text.
 *
 *     'kes:v1:' base64( offset  bytes  field
 *                            0      1  key type, 0x00 = Ed25519
 *                            1     32  seed of the private key )
 *
 * The key's identity is that of its public key. No certificate belongs to it: a client makes one at each start.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { decodeBase64, encodeBase64, InvalidBase64Error } from './base64.ts'
import { KesClientError } from './errors.ts'
import { identityOfPublicKey } from './identity.ts'

const PREFIX = 'kes:v1:'
const TYPE_ED25519 = 0
const SEED_BYTES = 32
/** All of a PKCS #8 Ed25519 key but the seed, which is last (RFC 8410, section 7). */
const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The text is not an API key. The message is KES's and repeats nothing of the text. */
export class InvalidApiKeyError extends KesClientError {
  override readonly name = 'InvalidApiKeyError'
}

/**
 * An API key. Only a call of `toString()` gives the secret text: in a template, a log line, JSON or an inspection
 * the key shows its identity instead.
 */
export class ApiKey {
  /** 64 hex digits; not a secret. What a policy or the server's `admin.identity` names. */
  readonly identity: string
  readonly #privateKey: KeyObject

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey
    this.identity = identityOfPublicKey(privateKey)
  }

  static generate(): ApiKey {
    return new ApiKey(generateKeyPairSync('ed25519').privateKey)
  }

  /**
   * @param text - with or without `kes:v1:`; CR and LF in the base64 are ignored, any other space is not.
   * @throws {@link InvalidApiKeyError}
   */
  static parse(text: string): ApiKey {
    const bytes = decodeKeyBytes(text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text)
    try {
      if (bytes.length !== 1 + SEED_BYTES)
        throw new InvalidApiKeyError('kes: invalid API key: invalid length')
      if (bytes[0] !== TYPE_ED25519) throw new InvalidApiKeyError('kes: invalid API key: unsupported type')
      return new ApiKey(privateKeyOfSeed(bytes.subarray(1)))
    } finally {
      bytes.fill(0)
    }
  }

  /**
   * The API key of an Ed25519 private key that a file held, say.
   *
   * @throws {@link InvalidApiKeyError} if it is a key of another type.
   */
  static fromPrivateKey(privateKey: KeyObject): ApiKey {
    if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') {
      throw new InvalidApiKeyError('Only ed25519 private keys are supported')
    }
    return new ApiKey(privateKey)
  }

  get privateKey(): KeyObject {
    return this.#privateKey
  }

  /** The secret, `kes:v1:…`. */
  toString(): string {
    const encoded = this.#privateKey.export({ type: 'pkcs8', format: 'der' })
    const bytes = Buffer.concat([Buffer.of(TYPE_ED25519), encoded.subarray(-SEED_BYTES)])
    try {
      return PREFIX + encodeBase64(bytes)
    } finally {
      encoded.fill(0)
      bytes.fill(0)
    }
  }

  /** What implicit conversions show; they would otherwise call `toString()`. */
  [Symbol.toPrimitive](): string {
    return `ApiKey(${this.identity})`
  }

  toJSON(): string {
    return this[Symbol.toPrimitive]()
  }

  [inspect.custom](): string {
    return this[Symbol.toPrimitive]()
  }
}

function decodeKeyBytes(text: string): Buffer {
  try {
    return decodeBase64(text)
  } catch (error) {
    if (error instanceof InvalidBase64Error) throw new InvalidApiKeyError(error.message)
    throw error
  }
}

function privateKeyOfSeed(seed: Uint8Array): KeyObject {
  const key = Buffer.concat([PKCS8_HEADER, seed])
  try {
    return createPrivateKey({ key, type: 'pkcs8', format: 'der' })
  } finally {
    key.fill(0)
  }
}
