/** A folder with all that a server under test needs: certificates, root key, config. Gone when disposed. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ApiKey, type KesClientOptions, makeClientCertificate } from '@latchkey/kms-client'
import { makeCertificates } from '../../certs/make-certs.ts'
import { TemporaryFolder } from '../cleanup.ts'
import type { ClientFiles } from '../load/target.ts'

export interface WorkspaceOptions {
  /** Whether every request writes an audit event: to stdout, or to a file, which is on the disk before the reply. */
  readonly audit?: 'off' | 'stdout' | 'file'
  /** Default: the system's for temporary files. */
  readonly parent?: string | undefined
  /** Processes that serve; the server's default if undefined. */
  readonly workers?: number | undefined
  /** Whether client certificates must chain to the CA; otherwise any will do, as is KES's default. */
  readonly isVerified?: boolean
  readonly keyNames?: readonly string[]
}

export class Workspace implements Disposable {
  readonly configFile: string
  readonly storeFile: string
  /** As the config names it. */
  readonly auditFile: string
  /** 32 bytes, which open the store. */
  readonly rootKeyFile: string
  /** What the server writes to stderr. */
  readonly errorLogFile: string
  readonly caFile: string
  readonly admin: ClientFiles
  /** Has a certificate, but no policy lets it do anything. */
  readonly stranger: ClientFiles
  readonly #folder: TemporaryFolder

  private constructor(folder: TemporaryFolder, caFile: string, admin: ClientFiles, stranger: ClientFiles) {
    this.#folder = folder
    this.caFile = caFile
    this.admin = admin
    this.stranger = stranger
    this.configFile = join(folder.path, 'kes.yml')
    this.storeFile = join(folder.path, 'kes.db')
    this.auditFile = join(folder.path, 'audit', 'audit.jsonl')
    this.rootKeyFile = join(folder.path, 'root.key')
    this.errorLogFile = join(folder.path, 'error.log')
  }

  static async create(options: WorkspaceOptions = {}): Promise<Workspace> {
    const folder = new TemporaryFolder(options.parent)
    try {
      const { path } = folder
      const certificates = await makeCertificates(path)
      const admin = { certFile: certificates.clientCertificate, keyFile: certificates.clientKey }
      const stranger = makeStranger(path)
      const workspace = new Workspace(folder, certificates.caCertificate, admin, stranger)
      writeFileSync(workspace.rootKeyFile, randomBytes(32), { mode: 0o600 })
      const files = { certFile: certificates.serverCertificate, keyFile: certificates.serverKey }
      writeFileSync(workspace.configFile, workspace.#config(certificates.clientIdentity, files, options))
      return workspace
    } catch (error) {
      folder[Symbol.dispose]()
      throw error
    }
  }

  /** For a client that may do everything. */
  clientOptions(endpoint: string): KesClientOptions {
    const { certFile, keyFile } = this.admin
    const certificate = { cert: readFileSync(certFile), key: readFileSync(keyFile) }
    return { endpoint, certificate, ca: readFileSync(this.caFile) }
  }

  /** What the server said of itself; for a reader who wants to know what went wrong. */
  readErrorLog(): string {
    return readFileSync(this.errorLogFile, 'utf8')
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]()
  }

  #config(
    admin: string,
    files: Record<'certFile' | 'keyFile', string>,
    { audit = 'off', workers, isVerified = false, keyNames = [] }: WorkspaceOptions,
  ): string {
    // JSON is YAML as well, and needs no care for quotes.
    return JSON.stringify({
      version: 'v1',
      address: '127.0.0.1:0',
      admin: { identity: admin },
      tls: {
        key: files.keyFile,
        cert: files.certFile,
        auth: isVerified ? 'on' : 'off',
        ...(isVerified ? { ca: this.caFile } : {}),
      },
      log: {
        audit: audit === 'file' ? { stdout: 'off', file: this.auditFile } : audit === 'off' ? 'off' : 'on',
      },
      ...(workers === undefined ? {} : { workers }),
      keys: keyNames.map((name) => ({ name })),
      keystore: { sqlite: { path: this.storeFile, key_file: this.rootKeyFile } },
    })
  }
}

function makeStranger(folder: string): ClientFiles {
  const apiKey = ApiKey.generate()
  const certificate = makeClientCertificate(apiKey)
  const files = { certFile: join(folder, 'stranger.crt'), keyFile: join(folder, 'stranger.key') }
  writeFileSync(files.certFile, certificate.toString())
  writeFileSync(files.keyFile, apiKey.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return files
}
