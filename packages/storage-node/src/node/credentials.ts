/**
 * The root user's keys, from the environment by MinIO's names and rules:
 *
 *     MINIO_ROOT_USER, MINIO_ROOT_PASSWORD              as given; a name with `_FILE` is of a file
 *     MINIO_API_ROOT_ACCESS=off, and neither of these   derived from the KMS's default key
 *     otherwise                                         minioadmin, minioadmin
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment, Kms } from '@latchkey/kms-client/kms'

export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
  /** The ones that everybody knows. */
  readonly isDefault: boolean
}

/** The environment's credentials are wrong; the message is for the operator. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError'
}

const ACCESS_KEY_MIN = 3
const SECRET_KEY_MIN = 8
const DEFAULT = 'minioadmin'
const SECRETS_FOLDER = '/run/secrets'
const OFF = ['off', 'false', '0', 'no', 'disabled']

/**
 * @throws {@link CredentialsError}
 * @throws KmsError if they come from the KMS.
 */
export async function rootCredentials(env: Environment, kms: Kms | undefined): Promise<Credentials> {
  const accessKey = variable(env, 'MINIO_ROOT_USER')
  const secretKey = variable(env, 'MINIO_ROOT_PASSWORD')
  if (accessKey === undefined && secretKey === undefined) {
    const isOff = OFF.includes((env.MINIO_API_ROOT_ACCESS ?? '').toLowerCase())
    if (isOff && kms !== undefined) return derivedCredentials(kms)
    return { accessKey: DEFAULT, secretKey: DEFAULT, isDefault: true }
  }
  if (accessKey === undefined || secretKey === undefined) {
    throw new CredentialsError('MINIO_ROOT_USER and MINIO_ROOT_PASSWORD are set together, or not at all')
  }
  if (accessKey.length < ACCESS_KEY_MIN || /[\s/,=]/.test(accessKey)) {
    throw new CredentialsError(
      `MINIO_ROOT_USER has at least ${ACCESS_KEY_MIN} characters, none of them a space, a slash, a comma or an equals sign`,
    )
  }
  if (secretKey.length < SECRET_KEY_MIN) {
    throw new CredentialsError(`MINIO_ROOT_PASSWORD has at least ${SECRET_KEY_MIN} characters`)
  }
  return { accessKey, secretKey, isDefault: false }
}

function variable(env: Environment, name: string): string | undefined {
  if (env[name]) return env[name]
  const file = env[`${name}_FILE`]
  if (!file) return undefined
  const path = [file, join(SECRETS_FOLDER, file)].find(existsSync)
  if (path === undefined) throw new CredentialsError(`${name}_FILE names '${file}', which does not exist`)
  return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
}

const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const ACCESS_KEY_BYTES = 20
const SECRET_KEY_BYTES = 24

async function derivedCredentials(kms: Kms): Promise<Credentials> {
  const accessMac = await kms.mac({ message: Buffer.from('root access key') })
  const secretMac = await kms.mac({ message: Buffer.from('root secret key') })
  return { ...credentialsFromMacs(accessMac, secretMac), isDefault: false }
}

/** As MinIO makes them. @param accessMac, secretMac - 32 bytes each. */
export function credentialsFromMacs(
  accessMac: Uint8Array,
  secretMac: Uint8Array,
): Pick<Credentials, 'accessKey' | 'secretKey'> {
  const accessKey = [...accessMac.subarray(0, ACCESS_KEY_BYTES)].map((byte) => LETTERS[byte % LETTERS.length])
  const secretKey = Buffer.from(secretMac.subarray(0, SECRET_KEY_BYTES)).toString('base64')
  return { accessKey: accessKey.join(''), secretKey: secretKey.replaceAll('/', '+') }
}
