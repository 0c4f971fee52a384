/** Why a seal can't be opened. These end a start, with their message as its one line, and never reach the wire. */

export class SealOpenError extends Error {
  override readonly name: string = 'SealOpenError'
}

export class WrongPassphraseError extends SealOpenError {
  override readonly name = 'WrongPassphraseError'
  constructor(detail = '') {
    super(`the passphrase does not open this store${detail}`)
  }
}

export class WrongKeyFileError extends SealOpenError {
  override readonly name = 'WrongKeyFileError'
  constructor(detail = '') {
    super(`the key file does not open this store${detail}`)
  }
}

/** The secret itself is unfit: a key file that others can read, a passphrase too short for a new slot. */
export class UnfitSecretError extends SealOpenError {
  override readonly name = 'UnfitSecretError'
}

/** What the store keeps of its seal is missing, damaged or does not belong together. */
export class SealDamagedError extends SealOpenError {
  override readonly name = 'SealDamagedError'
}
