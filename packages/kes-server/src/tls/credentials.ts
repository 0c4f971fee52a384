/** The server's key pair and the client CAs, read from the files that the config names. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { diskProblemOf } from '../message-of.ts'
import { filesOf } from './files-of.ts'

/** What is wrong with a private key, where that has a remedy of its own; `key` is anything else. */
export type KeyFault = 'other certificate' | 'password' | 'PKCS #8' | 'key'

const REMEDIES: Readonly<Record<KeyFault, string | undefined>> = {
  'other certificate': 'name files that belong together',
  password: "set 'tls.password' to the password of the private key",
  'PKCS #8':
    "write the private key in the form of RFC 1423, which 'tls.password' is for (RSA, EC), or without a password (any key)",
  key: undefined,
}

/** A TLS file is missing, damaged or does not fit; the message is one line for the operator. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError'
  /** Undefined if it is not the private key that is at fault. */
  readonly fault: KeyFault | undefined

  constructor(message: string, fault?: KeyFault) {
    super(message)
    this.fault = fault
  }

  /** What to do, where the files' names alone don't say it: a sentence without its full stop. */
  get remedy(): string | undefined {
    return this.fault && REMEDIES[this.fault]
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
  const problem = (text: string, fault?: KeyFault): CredentialsError =>
    new CredentialsError(`failed to read TLS certificate: ${text}`, fault)
  const keyProblem = (text: string, fault: KeyFault = 'key'): CredentialsError => problem(text, fault)
  const keyBlocks = pemBlocks(readText(keyFile, keyProblem))
  const certBlocks = pemBlocks(readText(certFile, problem))
  if (certBlocks.some(({ type }) => type !== 'CERTIFICATE'))
    throw problem(`https: unsupported PEM data block in '${certFile}'`)
  const [first] = certBlocks
  if (first === undefined) throw problem(`'${certFile}' contains no PEM-encoded certificate`)

  const key = readPrivateKey(keyBlocks, keyFile, password, keyProblem)
  const leaf = parseCertificate(first.text, certFile, problem)
  const isOfOtherType = leaf.publicKey.asymmetricKeyType !== key.asymmetricKeyType
  if (isOfOtherType || !leaf.checkPrivateKey(key)) {
    const text = isOfOtherType
      ? 'tls: private key type does not match public key type'
      : 'tls: private key does not match public key'
    throw problem(`${text}: '${keyFile}' is not the key of '${certFile}'`, 'other certificate')
  }
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
  problem: (text: string, fault?: KeyFault) => CredentialsError,
): KeyObject {
  const keys = blocks.filter(({ type }) => type !== 'CERTIFICATE')
  const [block] = keys
  if (block === undefined) throw problem(`'${file}' contains no PEM-encoded private key`)
  if (keys.length > 1 || !/^(?:RSA |EC )?PRIVATE KEY$/.test(block.type)) {
    const text = `https: unsupported PEM data block in '${file}'`
    if (block.type !== 'ENCRYPTED PRIVATE KEY') throw problem(text)
    throw problem(`${text}: the private key is encrypted as PKCS #8 has it`, 'PKCS #8')
  }
  const isEncrypted = block.text.includes('Proc-Type: 4,ENCRYPTED')
  if (isEncrypted && !password)
    throw problem('https: private key is encrypted: password required', 'password')
  try {
    return createPrivateKey(
      isEncrypted && password ? { key: block.text, passphrase: password } : { key: block.text },
    )
  } catch {
    if (isEncrypted) throw problem('x509: decryption password incorrect', 'password')
    throw problem('tls: failed to parse private key')
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
    throw problem(`${syscall === 'stat' ? 'stat' : 'open'} ${place}: ${diskProblemOf(error)}`)
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
    throw problem(`open ${file}: ${diskProblemOf(error)}`)
  }
}
