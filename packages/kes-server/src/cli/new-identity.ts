/** `kes identity new`: a key pair, as an API key and, if asked for, as PEM files of private key and certificate. */
import { existsSync, realpathSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ApiKey, encryptPrivateKey, makeCertificate } from '@latchkey/kms-client'
import { StagedFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

export interface NewIdentityOptions {
  /** The certificate's common name; by default the identity. */
  readonly subject: string | undefined
  readonly files: { readonly key: string; readonly cert: string } | undefined
  readonly ipAddresses: readonly string[]
  readonly dnsNames: readonly string[]
  readonly expiryMs: number
  readonly isEncrypted: boolean
  readonly replace: boolean
}

const KEY_EXISTS = 'private key already exists. Use --force to overwrite it'
const CERT_EXISTS = 'certificate already exists. Use --force to overwrite it'

/** @throws CliError */
export async function newIdentity(io: Io, options: NewIdentityOptions): Promise<void> {
  const apiKey = ApiKey.generate()
  if (options.files !== undefined) await writeFiles(io, apiKey, options, options.files)
  io.stdout.write(describe(apiKey, options.files))
}

/**
 * Both or none, where neither replaces another: both are whole on their disks before the first takes its name. The key
 * comes last, so that one which is there has its certificate.
 */
async function writeFiles(
  io: Io,
  apiKey: ApiKey,
  options: NewIdentityOptions,
  files: { key: string; cert: string },
): Promise<void> {
  const { replace } = options
  if (placeOf(files.key) === placeOf(files.cert))
    throw new CliError(`'--key' and '--cert' are the same file '${files.cert}'`)
  if (!replace && existsSync(files.key)) throw new CliError(KEY_EXISTS)
  if (!replace && existsSync(files.cert)) throw new CliError(CERT_EXISTS)

  const keyPem = options.isEncrypted
    ? encryptPrivateKey(apiKey.privateKey, await askNewPassword(io))
    : apiKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const certPem = makeCertificatePem(io, apiKey, options)
  const key = new StagedFile(files.key, keyPem, 0o600)
  try {
    const cert = new StagedFile(files.cert, certPem, 0o644)
    if (!cert.place({ replace })) throw new CliError(CERT_EXISTS)
    try {
      if (!key.place({ replace })) throw new CliError(KEY_EXISTS)
    } catch (error) {
      if (!replace) rmSync(files.cert, { force: true })
      throw error
    }
  } finally {
    key.discard()
  }
}

/** Without symbolic links in front of the name; a link of that name would be replaced. */
function placeOf(path: string): string {
  const folder = dirname(path)
  return join(existsSync(folder) ? realpathSync(folder) : resolve(folder), basename(path))
}

function makeCertificatePem(io: Io, apiKey: ApiKey, options: NewIdentityOptions): string {
  const notBefore = io.now()
  try {
    const certificate = makeCertificate({
      subjectCommonName: options.subject ?? apiKey.identity,
      publicKey: apiKey.privateKey,
      issuer: { privateKey: apiKey.privateKey },
      dnsNames: options.dnsNames,
      ipAddresses: options.ipAddresses,
      extendedKeyUsage: ['clientAuth', 'serverAuth'],
      validity: { notBefore, notAfter: new Date(notBefore.getTime() + options.expiryMs) },
    })
    return certificate.toString()
  } catch (error) {
    if (error instanceof TypeError) throw new CliError(error.message)
    throw error
  }
}

async function askNewPassword(io: Io): Promise<string> {
  const password = await io.readPassword('Enter password for private key: ')
  if ((await io.readPassword('Confirm password for private key: ')) !== password) {
    throw new CliError("passwords don't match")
  }
  return password
}

function describe(apiKey: ApiKey, files: { key: string; cert: string } | undefined): string {
  const stored = `The generated TLS private key is stored at: ${files?.key}
The generated TLS certificate is stored at: ${files?.cert}

`
  return `Your API key:

   ${apiKey.toString()}

This is the only time it is shown. Keep it secret and secure!

Your Identity:

   ${apiKey.identity}

The identity is not a secret. It can be shared. Any peer
needs this identity in order to verify your API key.

${files === undefined ? '' : stored}The identity can be computed again via:

    kes identity of ${apiKey.toString()}
${files === undefined ? '' : `    kes identity of ${files.cert}\n`}
`
}
