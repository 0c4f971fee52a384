/** Certificates and private keys in files of PEM. */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decryptPrivateKey, findPrivateKeyPem, isEncryptedPrivateKey } from '../rfc1423.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs

/**
 * The certificates of a file, or of all files of a folder; what is no certificate is passed over.
 *
 * @throws the error of `node:fs` if the path can't be read.
 */
export function readCertificates(path: string): string[] {
  return filesOf(path).flatMap((file) => readFileSync(file, 'latin1').match(CERTIFICATE) ?? [])
}

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const entries = readdirSync(path).sort()
  return entries.map((name) => join(path, name)).filter((file) => statSync(file).isFile())
}

/**
 * @param password - where the key is encrypted.
 * @throws TypeError if the text holds no private key, or an encrypted one and there is no password.
 * @throws {@link IncorrectPasswordError}
 */
export function parsePrivateKey(text: string, password: string | undefined): KeyObject {
  const pem = findPrivateKeyPem(text)
  if (pem === undefined) throw new TypeError('there is no private key in PEM')
  if (isEncryptedPrivateKey(pem)) {
    if (password === undefined) throw new TypeError('the private key is encrypted, and there is no password')
    return decryptPrivateKey(pem, password)
  }
  try {
    return createPrivateKey(pem)
  } catch {
    throw new TypeError('the private key is damaged, or of an unknown type')
  }
}
