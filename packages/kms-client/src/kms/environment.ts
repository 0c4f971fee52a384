/**
 * Which KMS the environment names, by MinIO's variables, with MinIO's rules and messages:
 *
 *     MINIO_KMS_KES_ENDPOINT          key servers, as `expandEndpoints` reads them
 *     MINIO_KMS_KES_KEY_NAME          the default key
 *     MINIO_KMS_KES_API_KEY           who the client is: either this, or the next two
 *     MINIO_KMS_KES_CERT_FILE         PEM
 *     MINIO_KMS_KES_KEY_FILE          PEM
 *     MINIO_KMS_KES_KEY_PASSWORD      of an encrypted key file
 *     MINIO_KMS_KES_CAPATH            file or folder of CA certificates, trusted beside the system's
 *     MINIO_KMS_SECRET_KEY            or, without a server, `<name>:<base64 of 32 bytes>`
 *     MINIO_KMS_SECRET_KEY_FILE       a file with such a text
 *     MINIO_KMS_AUTO_ENCRYPTION       `on`: a KMS is required
 *
 * A variable counts as given if it exists, even if it is empty; of the secret key's two, only if it says something.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ApiKey, InvalidApiKeyError } from '../api-key.ts'
import { decodeBase64, InvalidBase64Error } from '../base64.ts'
import { KesClientError } from '../errors.ts'
import { parseEndpoint } from '../transport/endpoint.ts'
import { expandEndpoints, InvalidEndpointError } from '../transport/endpoint-list.ts'
import { SECRET_KEY_BYTES } from './builtin-kms.ts'
import { SecretKey } from './secret-key.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface KesConfig {
  readonly type: 'kes'
  readonly endpoints: readonly string[]
  readonly defaultKey: string
  readonly credentials: KesCredentials
  /** Absent, or a path where nothing is: no CA beside the system's. */
  readonly caPath: string | undefined
}

export type KesCredentials =
  | { readonly apiKey: ApiKey }
  | { readonly certFile: string; readonly keyFile: string; readonly password: string | undefined }

export interface BuiltinConfig {
  readonly type: 'builtin'
  readonly defaultKey: string
  readonly secretKey: SecretKey
}

export interface EnvironmentOptions {
  /** Where CA certificates are if the environment does not say. Default: nowhere. */
  readonly defaultCaPath?: string | undefined
  /** Where files of secrets are besides. Default: `/run/secrets`, as containers have it. */
  readonly secretsFolder?: string | undefined
}

/**
 * The environment's variables, or what they name, are wrong: the program must not start. The message is what MinIO
 * prints behind `FATAL`.
 */
export class KmsConfigError extends KesClientError {
  override readonly name = 'KmsConfigError'
}

const SECRETS_FOLDER = '/run/secrets'

const KES = {
  endpoint: 'MINIO_KMS_KES_ENDPOINT',
  keyName: 'MINIO_KMS_KES_KEY_NAME',
  apiKey: 'MINIO_KMS_KES_API_KEY',
  certFile: 'MINIO_KMS_KES_CERT_FILE',
  keyFile: 'MINIO_KMS_KES_KEY_FILE',
  password: 'MINIO_KMS_KES_KEY_PASSWORD',
  caPath: 'MINIO_KMS_KES_CAPATH',
} as const
const SECRET_KEY = 'MINIO_KMS_SECRET_KEY'
const SECRET_KEY_FILE = 'MINIO_KMS_SECRET_KEY_FILE'
const AUTO_ENCRYPTION = 'MINIO_KMS_AUTO_ENCRYPTION'
/** Of MinIO's own KMS, which speaks another protocol; all four, in the order in which they are missed. */
const MINIO_KMS = ['MINIO_KMS_SERVER', 'MINIO_KMS_ENCLAVE', 'MINIO_KMS_SSE_KEY', 'MINIO_KMS_API_KEY']
const ON: readonly string[] = ['on', 'true', '1', 'yes', 'enabled']

/**
 * @returns `undefined` if the environment names no KMS.
 * @throws {@link KmsConfigError}
 */
export function readKmsConfig(
  env: Environment,
  options: EnvironmentOptions = {},
): KesConfig | BuiltinConfig | undefined {
  const has = (name: string): boolean => env[name] !== undefined
  const hasKes = Object.values(KES).some(has)
  const hasMinioKms = MINIO_KMS.some(has)
  const secretKeyFile = findSecretKeyFile(env, options)
  const hasSecretKey = isGiven(env[SECRET_KEY]) || secretKeyFile !== undefined

  if (hasMinioKms && hasKes) throw invalid('configuration for MinIO KMS and MinIO KES is present')
  if (hasMinioKms && hasSecretKey) throw invalid('configuration for MinIO KMS and static KMS key is present')
  if (hasKes && hasSecretKey) throw invalid('configuration for MinIO KES and static KMS key is present')

  if (hasMinioKms) return refuseMinioKms(has)
  if (hasKes) return readKesConfig(env, options)
  if (hasSecretKey) return readBuiltinConfig(env, secretKeyFile)
  if (isAutoEncryption(env)) {
    throw new KmsConfigError(`${AUTO_ENCRYPTION} requires a valid KMS configuration: no KMS configured`)
  }
  return undefined
}

/** Whether objects are to be encrypted without being asked for it. What can't be understood is no. */
export function isAutoEncryption(env: Environment): boolean {
  return ON.includes((env[AUTO_ENCRYPTION] ?? '').toLowerCase())
}

function refuseMinioKms(has: (name: string) => boolean): never {
  const missing = MINIO_KMS.find((name) => !has(name))
  if (missing !== undefined) throw invalid(`incomplete configuration for MinIO KMS: missing '${missing}'`)
  throw invalid('MinIO KMS is not supported, only MinIO KES and a static KMS key')
}

function readKesConfig(env: Environment, { defaultCaPath }: EnvironmentOptions): KesConfig {
  const list = required(env, KES.endpoint)
  const defaultKey = required(env, KES.keyName)
  const hasApiKey = env[KES.apiKey] !== undefined
  const hasCertificate = env[KES.certFile] !== undefined || env[KES.keyFile] !== undefined
  if (hasApiKey && hasCertificate) {
    throw invalid(`invalid configuration for MinIO KES: '${KES.apiKey}' and client certificate is present`)
  }
  if (!hasApiKey && !hasCertificate) {
    throw invalid('incomplete configuration for MinIO KES: missing authentication method')
  }
  const files = hasApiKey
    ? undefined
    : {
        certFile: required(env, KES.certFile),
        keyFile: required(env, KES.keyFile),
        password: env[KES.password],
      }
  return {
    type: 'kes',
    endpoints: readEndpoints(list),
    defaultKey,
    credentials: files ?? { apiKey: readApiKey(env[KES.apiKey] ?? '') },
    caPath: env[KES.caPath] || defaultCaPath,
  }
}

function required(env: Environment, name: string): string {
  const value = env[name]
  if (value === undefined) throw invalid(`incomplete configuration for MinIO KES: missing '${name}'`)
  return value
}

function readEndpoints(list: string): string[] {
  try {
    const endpoints = expandEndpoints(list)
    if (endpoints.length === 0) throw unusable('kms: no KES server endpoint provided')
    for (const endpoint of endpoints) checkEndpoint(endpoint)
    return endpoints
  } catch (error) {
    if (error instanceof InvalidEndpointError) throw unusable(`kms: ${error.message}`)
    throw error
  }
}

function checkEndpoint(endpoint: string): void {
  try {
    if (!endpoint.includes('://')) throw new TypeError('it must begin with https://')
    parseEndpoint(endpoint)
  } catch (error) {
    if (error instanceof TypeError) throw unusable(`kms: invalid endpoint '${endpoint}': ${error.message}`)
    throw error
  }
}

function readApiKey(text: string): ApiKey {
  try {
    return ApiKey.parse(text)
  } catch (error) {
    if (error instanceof InvalidApiKeyError) throw unusable(error.message)
    throw error
  }
}

function readBuiltinConfig(env: Environment, file: string | undefined): BuiltinConfig {
  const text = env[SECRET_KEY] || undefined
  if (text !== undefined && file !== undefined) {
    throw invalid(
      `invalid configuration for static KMS key: '${SECRET_KEY}' and '${SECRET_KEY_FILE}' are present`,
    )
  }
  return parseSecretKey(text ?? readSecretKeyFile(file ?? ''))
}

/**
 * @param text - `<name>:<base64 of 32 bytes>`; line ends in the base64 don't count.
 * @throws {@link KmsConfigError}, which repeats nothing of the text.
 */
export function parseSecretKey(text: string): BuiltinConfig {
  const colon = text.indexOf(':')
  if (colon < 0) throw unusable('kms: invalid secret key format')
  const secretKey = decodeSecretKey(text.slice(colon + 1))
  if (secretKey.length !== SECRET_KEY_BYTES) throw unusable(`kms: invalid key length ${secretKey.length}`)
  return { type: 'builtin', defaultKey: text.slice(0, colon), secretKey: new SecretKey(secretKey) }
}

function decodeSecretKey(text: string): Buffer {
  try {
    return decodeBase64(text)
  } catch (error) {
    if (error instanceof InvalidBase64Error) throw unusable(error.message)
    throw error
  }
}

function findSecretKeyFile(
  env: Environment,
  { secretsFolder = SECRETS_FOLDER }: EnvironmentOptions,
): string | undefined {
  const path = env[SECRET_KEY_FILE]
  if (!isGiven(path)) return undefined
  return [path, join(secretsFolder, path)].find((each) => existsSync(each))
}

function readSecretKeyFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unusable(describeFileError(error, path))
  }
}

function isGiven(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}

/** @throws {@link KmsConfigError} if the certificate or its key can't be read, in MinIO's words. */
export function readClientFile(kind: 'certificate' | 'private key', path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const problem = describeFileError(error, path)
    throw unusable(`Unable to load KES client ${kind} as specified by the shell environment: ${problem}`)
  }
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
}

/** As Go says it. */
function describeFileError(error: unknown, path: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return `open ${path}: ${FILE_PROBLEMS[code] ?? (code || 'it can not be read')}`
}

/** The variables contradict each other, or are not complete. */
function invalid(problem: string): KmsConfigError {
  return new KmsConfigError(`Invalid KMS configuration specified: kms: ${problem}`)
}

/** The variables are complete, but what they say is of no use. */
export function unusable(problem: string): KmsConfigError {
  return new KmsConfigError(`Failed to connect to KMS: ${problem}`)
}
