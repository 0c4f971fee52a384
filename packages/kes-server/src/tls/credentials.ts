/** The server's key pair and the client CAs, read from the files that the config names. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { filesOf } from './files-of.ts'

/** A TLS file is missing, damaged or does not fit; the message is one line for the operator. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError'
  /** Whether the private key's file is at fault. */
  readonly isOfKey: boolean

  constructor(message: string, isOfKey = false) {
    super(message)
    this.isOfKey = isOfKey
  }
}

export interface TlsCredentials {
  /** PEM, PKCS#8, not encrypted. Only for the TLS context. */
  readonly keyPem: string
  /** PEM, leaf first. */
  readonly certPem: string
}

const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g

interface PemBlock {
  readonly type: string
  readonly text: string
}

function pemBlocks(text: string): PemBlock[] {
  return [...text.matchAll(PEM_BLOCK)].map((match) => ({ type: match[1] ?? '', text: match[0] }))
}

/**
 * Reads a key pair as KES does: the key file may hold certificates beside the key, the certificate file holds
 * nothing else, the certificate has at least one DNS name or IP address.
 *
 * @param password - for keys encrypted as RFC 1423 has it (`Proc-Type: 4,ENCRYPTED`).
 * @throws {@link CredentialsError}
 */
export function readCredentials(keyFile: string, certFile: string, password?: string): TlsCredentials {
  const problem = (text: string): CredentialsError =>
    new CredentialsError(`failed to read TLS certificate: ${text}`)
  const keyProblem = (text: string): CredentialsError => new CredentialsError(problem(text).message, true)
  const keyBlocks = pemBlocks(readText(keyFile, keyProblem))
  const certBlocks = pemBlocks(readText(certFile, problem))
  if (certBlocks.some(({ type }) => type !== 'CERTIFICATE'))
    throw problem('https: unsupported PEM data block')
  const [first] = certBlocks
  if (first === undefined) throw problem(`'${certFile}' contains no PEM-encoded certificate`)

  const key = readPrivateKey(keyBlocks, keyFile, password, keyProblem)
  const leaf = parseCertificate(first.text, certFile, problem)
  if (leaf.publicKey.asymmetricKeyType !== key.asymmetricKeyType) {
    throw problem('tls: private key type does not match public key type')
  }
  if (!leaf.checkPrivateKey(key)) throw problem('tls: private key does not match public key')
  if (!/(?:DNS|IP Address):/.test(leaf.subjectAltName ?? '')) {
    throw new CredentialsError(
      'invalid TLS certificate: certificate does not contain any DNS or IP address as SAN',
    )
  }
  return {
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certPem: certBlocks.map(({ text }) => `${text}\n`).join(''),
  }
}

function readPrivateKey(
  blocks: readonly PemBlock[],
  file: string,
  password: string | undefined,
  problem: (text: string) => CredentialsError,
): KeyObject {
  const keys = blocks.filter(({ type }) => type !== 'CERTIFICATE')
  const [block] = keys
  if (block === undefined) throw problem(`'${file}' contains no PEM-encoded private key`)
  if (keys.length > 1 || !/^(?:RSA |EC )?PRIVATE KEY$/.test(block.type)) {
    throw problem('https: unsupported PEM data block')
  }
  const isEncrypted = block.text.includes('Proc-Type: 4,ENCRYPTED')
  if (isEncrypted && !password) throw problem('https: private key is encrypted: password required')
  try {
    return createPrivateKey(
      isEncrypted && password ? { key: block.text, passphrase: password } : { key: block.text },
    )
  } catch {
    throw problem(isEncrypted ? 'x509: decryption password incorrect' : 'tls: failed to parse private key')
  }
}

/**
 * Certificates of the CAs that may sign client certificates, beside the system's: one file, or all files of a
 * folder.
 *
 * @throws {@link CredentialsError}
 */
export function readClientCas(path: string): string[] {
  const problem = (text: string): CredentialsError =>
    new CredentialsError(`failed to read TLS CA certificates: ${text}`)
  let files: string[]
  try {
    files = filesOf(path)
  } catch (error) {
    const { syscall, path: place = path } = error as NodeJS.ErrnoException
    throw problem(`${syscall === 'stat' ? 'stat' : 'open'} ${place}: ${reasonOf(error)}`)
  }
  return files.flatMap((file) => {
    const blocks = pemBlocks(readText(file, problem))
    if (blocks.length === 0 || blocks.some(({ type }) => type !== 'CERTIFICATE')) {
      throw problem(`'${file}' contains something else than PEM-encoded certificates`)
    }
    for (const { text } of blocks) parseCertificate(text, file, problem)
    return blocks.map(({ text }) => text)
  })
}

function parseCertificate(pem: string, file: string, problem: (text: string) => Error): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw problem(`'${file}' contains a malformed certificate`)
  }
}

function readText(file: string, problem: (text: string) => Error): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw problem(`open ${file}: ${reasonOf(error)}`)
  }
}

/** The words that Go, and so KES, has for the errors of the file system. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const words: Record<string, string> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    EISDIR: 'is a directory',
    ENOTDIR: 'not a directory',
  }
  return words[code ?? ''] ?? message
}
