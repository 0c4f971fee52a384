/** An instance of every error that can reach the wire, by the name of its class, with `<…>` for what varies. */
import * as errors from '../packages/kes-server/src/errors.ts'

type ClassName = Exclude<keyof typeof errors, 'KesError'>

/** One instance for each message that a class has. Does not compile while a class is missing. */
export const EVERY_ERROR: Readonly<Record<ClassName, readonly errors.KesError[]>> = {
  CertificateRequiredError: [new errors.CertificateRequiredError()],
  TooManyCertificatesError: [new errors.TooManyCertificatesError()],
  NotAllowedError: [new errors.NotAllowedError()],
  NotInConsoleError: [new errors.NotInConsoleError()],
  NotFoundError: [new errors.NotFoundError()],
  MethodNotAllowedError: [new errors.MethodNotAllowedError('<received>', '<expected>')],
  RequestTimeoutError: [new errors.RequestTimeoutError()],
  InvalidPathError: [new errors.InvalidPathError()],
  InvalidNameError: (['key name', 'policy name', 'identity'] as const).map(
    (kind) => new errors.InvalidNameError(kind, '<value>'),
  ),
  InvalidPatternError: [new errors.InvalidPatternError('<value>')],
  InvalidParameterError: [new errors.InvalidParameterError('<name>', '<value>', '<expected>')],
  InvalidBodyError: [new errors.InvalidBodyError(), new errors.InvalidBodyError({ import: true })],
  KeyExistsError: [new errors.KeyExistsError()],
  KeyNameReservedError: [new errors.KeyNameReservedError()],
  KeyNotFoundError: [new errors.KeyNotFoundError()],
  KeyDisabledError: [new errors.KeyDisabledError()],
  KeyPendingDeletionError: [new errors.KeyPendingDeletionError()],
  WrongStateError: (['pending deletion', 'not pending deletion'] as const).map(
    (state) => new errors.WrongStateError(state),
  ),
  WaitingPeriodTooShortError: [new errors.WaitingPeriodTooShortError('<period>')],
  NotAuthenticError: [new errors.NotAuthenticError()],
  UnsupportedAlgorithmError: [new errors.UnsupportedAlgorithmError('<algorithm>')],
  InvalidKeySizeError: [new errors.InvalidKeySizeError('<algorithm>')],
  NoHmacError: [new errors.NoHmacError()],
  PolicyNotFoundError: [new errors.PolicyNotFoundError()],
  IdentityNotFoundError: [new errors.IdentityNotFoundError()],
  StoreError: (
    ['create key', 'read key', 'delete key', 'list keys', 'change key', 'change seal', 'make backup'] as const
  ).map((action) => new errors.StoreError(action)),
  RecordDamagedError: [new errors.RecordDamagedError('read key')],
  StoreUnreachableError: [new errors.StoreUnreachableError()],
  StoreUnavailableError: [new errors.StoreUnavailableError()],
  ErasePendingError: [new errors.ErasePendingError()],
  WrongSecretError: [new errors.WrongSecretError('the <secret> opens no slot of this store')],
  InvalidSecretError: [new errors.InvalidSecretError('<problem>')],
  SlotNotFoundError: [new errors.SlotNotFoundError('<slot>')],
  SealConflictError: [new errors.SealConflictError('<problem>')],
  AuditUnavailableError: [new errors.AuditUnavailableError()],
  BackupNotFoundError: [new errors.BackupNotFoundError()],
  BackupConflictError: [new errors.BackupConflictError('<problem>')],
  BackupNoSpaceError: [new errors.BackupNoSpaceError()],
  ShuttingDownError: [new errors.ShuttingDownError()],
  InternalError: [new errors.InternalError()],
}
