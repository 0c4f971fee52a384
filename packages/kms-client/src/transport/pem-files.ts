/** Certificates and private keys in files of PEM. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decryptPrivateKey, findPrivateKeyPem, isEncryptedPrivateKey } from '../rfc1423.ts'

/** One whose end is missing counts as damaged. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----.*?(?:-----END CERTIFICATE-----|$)/gs

/** The file itself, or all files of a folder. @throws the error of `node:fs` if the path can't be read. */
export function pemFilesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const entries = readdirSync(path).sort()
  return entries.map((name) => join(path, name)).filter((file) => statSync(file).isFile())
}

/**
 * The certificates of a file; what is no certificate is passed over.
 *
 * @throws the error of `node:fs` if it can't be read.
 * @throws TypeError if one is damaged.
 */
export function readCertificates(file: string): string[] {
  const certificates = readFileSync(file, 'latin1').match(CERTIFICATE) ?? []
  for (const certificate of certificates) checkCertificate(certificate, 'it has a damaged certificate')
  return certificates
}

/** OpenSSL skips what is no certificate without a word, and would then trust nothing at all. */
export function checkCertificate(certificate: string | Buffer, problem: string): void {
  try {
    new X509Certificate(certificate)
  } catch (cause) {
    throw new TypeError(problem, { cause })
  }
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
