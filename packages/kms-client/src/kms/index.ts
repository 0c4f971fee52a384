/**
 * The layer that a storage server puts between itself and its KMS: MinIO's environment variables, its contexts, its
 * errors, and the KMS without a server.
 */
export { BuiltinKms } from './builtin-kms.ts'
export { encodeContext, type KmsContext, objectContext, objectPath } from './context.ts'
export {
  type BuiltinConfig,
  type Environment,
  type EnvironmentOptions,
  isAutoEncryption,
  type KesConfig,
  type KesCredentials,
  KmsConfigError,
  parseSecretKey,
  readKmsConfig,
} from './environment.ts'
export { KesKms } from './kes-kms.ts'
export type {
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
export { KmsError, type KmsErrorReason, type KmsOperation, type MinioError } from './kms-error.ts'
export { type KmsOptions, openKms } from './open-kms.ts'
export { SecretKey } from './secret-key.ts'
