/**
 * What a sandbox keeps in its folder, from one start to the next; all of it for its owner alone.
 *
 *     sandbox.json                        says that the folder is one of these, and may be removed as a whole
 *     lock.db                             locked while a sandbox runs on the folder
 *     root.api-key, root.key, root.cert   who the visitor is: an API key, and the same as files in PEM
 *     node.api-key                        who the storage node is
 *     s3.secret-key                       of the node's one user
 *     env, curl                           all that clients take, for a shell to read, and for curl
 *     kes.yml, keys.db, seal.key          the key server: config, store, and what opens the store
 *     node/, node-certs/                  the storage node: data, certificate
 *     mc/                                 the folder of configuration for MinIO's client
 *     logs/                               what the programs have printed at the last start
 */
import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ApiKey, makeClientCertificate } from '@latchkey/kms-client'
import type { DevelopmentCertificates } from '../../../../certs/make-certs.ts'

const MARKER = 'sandbox.json'
const MARKER_TEXT = `${JSON.stringify({ latchkey: 'sandbox', version: 1 })}\n`
const LOCK = 'lock.db'
const SEAL_KEY_BYTES = 32
const SECRET_KEY_BYTES = 24
const SQLITE_BUSY = 5

export interface Identity {
  readonly apiKey: ApiKey
  readonly apiKeyFile: string
  /** Whether it was made just now. */
  readonly isNew: boolean
}

export class SandboxFolder implements Disposable {
  readonly path: string
  readonly #lock: DatabaseSync

  private constructor(path: string, lock: DatabaseSync) {
    this.path = path
    this.#lock = lock
  }

  /**
   * Makes the folder if it is missing, and keeps every other sandbox out of it.
   *
   * @param isReset - remove what is there; nothing but the folder of a sandbox is ever removed.
   * @throws Error with one sentence for the visitor.
   */
  static open(path: string, { isReset = false } = {}): SandboxFolder {
    const state = folderState(path)
    if (state === 'other') {
      throw new Error(`${path} holds something else than a sandbox: choose an empty folder with --persist`)
    }
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const lock = acquireLock(path)
    if (isReset && state === 'sandbox') {
      const names = readdirSync(path).filter((name) => name !== MARKER && !name.startsWith(LOCK))
      for (const name of names) rmSync(join(path, name), { recursive: true })
    }
    const folder = new SandboxFolder(path, lock)
    folder.#write(MARKER, MARKER_TEXT)
    for (const name of ['node-certs', 'logs', 'mc/certs/CAs']) {
      mkdirSync(join(path, name), { recursive: true, mode: 0o700 })
    }
    return folder
  }

  pathOf(...names: readonly string[]): string {
    return join(this.path, ...names)
  }

  /** An identity of this name, which is made if there is none. */
  keepIdentity(name: 'root' | 'node'): Identity {
    const file = `${name}.api-key`
    const { text, isNew } = this.#keep(file, () => `${ApiKey.generate().toString()}\n`)
    return { apiKey: ApiKey.parse(text.toString().trim()), apiKeyFile: this.pathOf(file), isNew }
  }

  /** The same identity for programs that take a key and a certificate; made anew each time, so that it lasts. */
  writeIdentityFiles(name: 'root', { apiKey }: Identity): { key: string; cert: string } {
    const privateKey = apiKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const certificate = makeClientCertificate(apiKey)
    return {
      key: this.#write(`${name}.key`, privateKey),
      cert: this.#write(`${name}.cert`, certificate.toString()),
    }
  }

  /** Of the node's one user. */
  keepSecretKey(): string {
    const make = () => `${randomBytes(SECRET_KEY_BYTES).toString('base64url')}\n`
    return this.#keep('s3.secret-key', make).text.toString().trim()
  }

  /** @returns its path. */
  keepSealKey(): string {
    this.#keep('seal.key', () => randomBytes(SEAL_KEY_BYTES)).text.fill(0)
    return this.pathOf('seal.key')
  }

  /** Where the node and MinIO's client look for certificates. */
  copyCertificates({ serverCertificate, serverKey, caCertificate }: DevelopmentCertificates): void {
    copyFileSync(serverCertificate, this.pathOf('node-certs', 'public.crt'))
    this.#write('node-certs/private.key', readFileSync(serverKey))
    copyFileSync(caCertificate, this.pathOf('mc', 'certs', 'CAs', 'ca.crt'))
  }

  writeConfig(text: string): string {
    return this.#write('kes.yml', text)
  }

  writeClientFile(name: 'env' | 'curl', text: string): string {
    return this.#write(name, text)
  }

  /** Lets another sandbox have the folder. */
  [Symbol.dispose](): void {
    this.#lock.close()
  }

  /** As a whole or not at all. @returns its path. */
  #write(name: string, content: string | Buffer): string {
    const path = this.pathOf(name)
    const draft = `${path}.new`
    rmSync(draft, { force: true })
    writeFileSync(draft, content, { mode: 0o600, flag: 'wx' })
    renameSync(draft, path)
    return path
  }

  /** Reads a secret, or makes it. */
  #keep(name: string, make: () => string | Buffer): { readonly text: Buffer; readonly isNew: boolean } {
    const isNew = !existsSync(this.pathOf(name))
    const path = isNew ? this.#write(name, make()) : this.pathOf(name)
    return { text: readFileSync(path), isNew }
  }
}

export type FolderState = 'free' | 'sandbox' | 'other'

/** Whether a sandbox can be made of a folder, or is there already. */
export function folderState(path: string): FolderState {
  if (!existsSync(path)) return 'free'
  const names = readdirSync(path)
  if (names.includes(MARKER)) return 'sandbox'
  // One that was interrupted in its first moment has its lock and no more.
  return names.every((name) => name.startsWith(LOCK)) ? 'free' : 'other'
}

/** The operating system drops the lock with the process, however it dies. */
function acquireLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(join(path, LOCK), { timeout: 0 })
  try {
    // An open transaction, in which nothing is ever written.
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
      throw new Error(
        `a sandbox is running on ${path}: stop it first, or choose another folder with --persist`,
      )
    }
    throw error
  }
}
