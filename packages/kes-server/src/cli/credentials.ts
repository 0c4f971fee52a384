/** Who the command line is to a server: an API key, or a certificate with its private key, from the environment. */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  ApiKey,
  type ClientCertificate,
  decryptPrivateKey,
  findPrivateKeyPem,
  identityOfCertificate,
  isEncryptedPrivateKey,
} from '@latchkey/kms-client'
import { messageOf } from '../message-of.ts'
import { lookUp } from './environment.ts'
import { readTextFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

export interface Credentials {
  readonly identity: string
  readonly apiKey?: ApiKey
  readonly certificate?: ClientCertificate
}

/**
 * @param apiKeyFlag - wins over the environment.
 * @throws CliError
 */
export async function readCredentials(io: Io, apiKeyFlag?: string): Promise<Credentials> {
  const keyFile = apiKeyFlag === undefined ? lookUp(io.env, 'keyFile') : undefined
  const certFile = apiKeyFlag === undefined ? lookUp(io.env, 'certFile') : undefined
  const text = apiKeyFlag ?? lookUp(io.env, 'apiKey')
  if (text !== undefined) {
    if (keyFile !== undefined)
      throw new CliError('API key and private key file cannot be used at the same time')
    if (certFile !== undefined)
      throw new CliError('API key and certificate file cannot be used at the same time')
    const apiKey = parseApiKey(text)
    return { identity: apiKey.identity, apiKey }
  }
  if (keyFile === undefined && certFile === undefined) {
    throw new CliError('no API key specified. Consider setting MINIO_KES_API_KEY')
  }
  if (certFile === undefined) {
    throw new CliError('no certificate file specified. Consider setting MINIO_KES_CERT_FILE')
  }
  if (keyFile === undefined) {
    throw new CliError('no private key file specified. Consider setting MINIO_KES_KEY_FILE')
  }
  const cert = readNamed('certificate', certFile)
  const key = await readPrivateKey(io, readNamed('private key', keyFile))
  return { identity: identityOf(cert, certFile), certificate: { cert, key } }
}

function parseApiKey(text: string): ApiKey {
  try {
    return ApiKey.parse(text)
  } catch (error) {
    throw new CliError(`parsing API key: ${messageOf(error)}`)
  }
}

function readNamed(kind: string, path: string): string {
  try {
    return readTextFile(path)
  } catch (error) {
    throw new CliError(`reading ${kind} file: ${messageOf(error)}`)
  }
}

async function readPrivateKey(io: Io, text: string): Promise<KeyObject> {
  const pem = findPrivateKeyPem(text)
  if (pem === undefined)
    throw new CliError('failed to read TLS private key: no PEM-encoded private key found')
  if (isEncryptedPrivateKey(pem)) {
    return decryptPrivateKey(pem, await io.readPassword('Enter password for private key: '))
  }
  try {
    return createPrivateKey(pem)
  } catch {
    throw new CliError('failed to read TLS private key: it is damaged, or of an unknown type')
  }
}

function identityOf(cert: string, path: string): string {
  try {
    return identityOfCertificate(cert)
  } catch {
    throw new CliError(`failed to read TLS certificate: '${path}' contains no valid PEM certificate`)
  }
}
