/** What encryption and decryption of objects refuse, and why. The S3 side maps each to a code. */

export abstract class SseError extends Error {}

/** The headers of a request ask for an encryption that there is not. The message is MinIO's. */
export class EncryptionHeaderError extends SseError {
  override readonly name = 'EncryptionHeaderError'
}

/** A customer key beside another kind of encryption. */
export class IncompatibleEncryptionError extends SseError {
  override readonly name = 'IncompatibleEncryptionError'
  constructor() {
    super(
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
    )
  }
}

/** The object is encrypted with a customer key, and the request has none; or has one where it is of no use. */
export class CustomerKeyExpectedError extends SseError {
  override readonly name = 'CustomerKeyExpectedError'
  constructor() {
    super(
      'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
    )
  }
}

/** A customer key for an object that is not encrypted. */
export class CustomerKeyNotApplicableError extends SseError {
  override readonly name = 'CustomerKeyNotApplicableError'
  constructor() {
    super('The encryption parameters are not applicable to this object.')
  }
}

/** The sealed object key does not open: the wrong customer key, or an object that somebody moved or changed. */
export class SecretKeyMismatchError extends SseError {
  override readonly name = 'SecretKeyMismatchError'
  constructor() {
    super('The secret key does not match the secret key used during upload')
  }
}

/** What is stored about an object's encryption can't be read. The message is MinIO's. */
export class EncryptionMetadataError extends SseError {
  override readonly name = 'EncryptionMetadataError'
}

/** There is something about encryption in the object's metadata, but not what any kind of encryption has. */
export class ObjectTamperedError extends SseError {
  override readonly name = 'ObjectTamperedError'
  constructor(options?: ErrorOptions) {
    super('The requested object was modified and may be compromised', options)
  }
}

/** Encryption was asked for, or is needed, and the node has no KMS. */
export class KmsNotConfiguredError extends SseError {
  override readonly name = 'KmsNotConfiguredError'
  constructor() {
    super('KMS not configured for a server side encrypted objects')
  }
}
