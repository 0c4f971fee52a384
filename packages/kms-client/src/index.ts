/**
 * Client for key servers that speak the MinIO KES API: Latchkey's, and the Go KES.
 *
 * Beside the client are what its users need to set one up: API keys, identities and X.509 certificates.
 */
export {
  AuditUnavailableError,
  CertificateRequiredError,
  ErasePendingError,
  IdentityNotFoundError,
  InvalidBodyError,
  InvalidKeySizeError,
  InvalidNameError,
  InvalidPatternError,
  KesApiError,
  KeyDisabledError,
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  KeyPendingDeletionError,
  NoHmacError,
  NotAllowedError,
  NotAuthenticError,
  NotFoundError,
  PolicyNotFoundError,
  RecordDamagedError,
  ShuttingDownError,
  StoreUnavailableError,
  StoreUnreachableError,
  UnsupportedAlgorithmError,
  WaitingPeriodTooShortError,
  WrongStateError,
} from './api-error.ts'
export { ApiKey, InvalidApiKeyError } from './api-key.ts'
export type { BackupInfo } from './backup.ts'
export { decodeBase64, encodeBase64, InvalidBase64Error } from './base64.ts'
export { type CertificateOptions, makeCertificate, makeClientCertificate } from './certificate.ts'
export {
  type CallOptions,
  type EndpointState,
  KesClient,
  type KesClientOptions,
  type LogOptions,
  type WatchOptions,
} from './client.ts'
export { KesClientError, KesConnectionError, KesProtocolError, KesTimeoutError } from './errors.ts'
export { identityOfCertificate, identityOfPublicKey } from './identity.ts'
export type { ErasureReceipt, JournalEntry, JournalHead, SignedJournalEntry } from './journal.ts'
export type { KeyChange, KeyEvent, SnapshotEnd, WatchedKey } from './key-watch.ts'
export type { KesMetrics, MetricFamily, MetricSample } from './metrics.ts'
export type {
  Api,
  AuditEvent,
  DamagedKeyInfo,
  DataKey,
  ErrorEvent,
  IdentityInfo,
  KeyAlgorithm,
  KeyInfo,
  KeyState,
  KeysChanged,
  Policy,
  PolicyInfo,
  SelfInfo,
  ServerStatus,
  ServerVersion,
} from './replies.ts'
export {
  decryptPrivateKey,
  encryptPrivateKey,
  findPrivateKeyPem,
  IncorrectPasswordError,
  isEncryptedPrivateKey,
} from './rfc1423.ts'
export type { RotationSlots, SealInfo, SealSecret, SealSlot, SlotChange } from './seal.ts'
export type { CertificateFiles, ClientCertificate } from './transport/client-tls.ts'
export { InvalidEndpointError } from './transport/endpoint-list.ts'
export type { HttpProtocol } from './transport/tls-connector.ts'
