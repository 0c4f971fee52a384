/** A key server's files, as an operator has them in a folder. */
import { createHash, randomBytes } from 'node:crypto'
import {
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { authorityOf, type Credentials, clientOf, serverOf } from '../sandbox/certificates.ts'
import { Secrets } from '../sandbox/leaks.ts'
import { type Ran, type RunOptions, runKes, ServerProcess } from './server-process.ts'

export interface Policy {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly identities: readonly string[]
}

export interface InstallationOptions {
  /** Where the folder is made. Default: the system's folder for temporary files. */
  readonly under?: string
  readonly policies?: Readonly<Record<string, Policy>>
  /** As in the config file, such as `1s`. */
  readonly timeouts?: Readonly<Record<string, string>>
  readonly keys?: readonly string[]
  /** Default: the server's own, one for each core. */
  readonly workers?: number
  /** As in the config file, such as `7d`. */
  readonly waitingPeriod?: string
  /** `log.audit`, as in the config file. */
  readonly audit?: Readonly<Record<string, string | number>>
  /** As in the config file. */
  readonly console?: Readonly<Record<string, unknown>>
  /** Default: `sqlite`. `fs`: the folder `keys`, which its config names as the Go KES's does, with no field of ours. */
  readonly store?: 'sqlite' | 'fs'
}

/** The files of one server. */
export class Installation implements Disposable {
  readonly folder: string
  readonly configFile: string
  readonly storeFile: string
  readonly keyFile: string
  /** As the config names it; used with {@link InstallationOptions.audit}. */
  readonly auditFile: string
  readonly admin: Credentials
  /** PEM. */
  readonly ca: string
  readonly secrets: Secrets

  private constructor(folder: string, admin: Credentials, ca: string, secrets: Secrets) {
    this.secrets = secrets
    this.folder = folder
    this.admin = admin
    this.ca = ca
    this.configFile = join(folder, 'kes.yml')
    this.storeFile = join(folder, 'data', 'keys.db')
    this.keyFile = join(folder, 'root.key')
    this.auditFile = join(folder, 'audit', 'audit.jsonl')
  }

  static async make(options: InstallationOptions = {}): Promise<Installation> {
    const admin = await clientOf('admin')
    const server = await serverOf()
    const { certificate } = await authorityOf('servers')
    const folder = mkdtempSync(join(options.under ?? tmpdir(), 'latchkey-process-'))
    const installation = new Installation(folder, admin, certificate.toString(), new Secrets())
    const rootKey = randomBytes(32)
    installation.write('server.key', server.key)
    installation.write('server.crt', server.cert)
    installation.write('root.key', rootKey)
    installation.write('kes.yml', configText(installation, options))
    mkdirSync(dirname(installation.storeFile), { mode: 0o700 })
    installation.secrets.addBytes(rootKey)
    installation.secrets.addBody(Buffer.from(server.key))
    return installation
  }

  /** The same files in a folder of their own, to spoil. */
  copy(): Installation {
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-process-'))
    cpSync(this.folder, folder, { recursive: true })
    const copy = new Installation(folder, this.admin, this.ca, this.secrets)
    copy.write('kes.yml', readFileSync(this.configFile, 'utf8').replaceAll(this.folder, folder))
    return copy
  }

  /** A file of this folder, readable by its owner alone. */
  write(name: string, content: string | Buffer): string {
    const path = join(this.folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  /** Writes the config file again, with `from` replaced. */
  editConfig(from: string | RegExp, to: string): void {
    const before = readFileSync(this.configFile, 'utf8')
    const after = before.replace(from, to)
    if (after === before) throw new Error(`the config has no ${from}`)
    this.write('kes.yml', after)
  }

  /** Has the config name this `fs` store in place of the `sqlite` one. */
  useFolder(places: { readonly path: string; readonly database?: string }): void {
    this.editConfig(/"sqlite": \{[^}]*\}/, `"fs": ${JSON.stringify(places)}`)
  }

  /** Gives all files to a user for whom permissions count: for root they don't. Only root can. */
  giveTo(user: number): void {
    for (const entry of ['.', ...readdirSync(this.folder, { recursive: true, encoding: 'utf8' })]) {
      chownSync(join(this.folder, entry), user, user)
    }
  }

  /** The content of the folder: a digest of each file by its name. */
  digests(): Record<string, string> {
    return Object.fromEntries(
      readdirSync(this.folder, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => [
          relative(this.folder, path),
          createHash('sha256').update(readFileSync(path)).digest('hex'),
        ]),
    )
  }

  /** Permissions of the files of a folder in this one. */
  modes(folder: string): Record<string, number> {
    const path = join(this.folder, folder)
    return Object.fromEntries(
      readdirSync(path).map((name) => [name, statSync(join(path, name)).mode & 0o777]),
    )
  }

  start(
    args: readonly string[] = ['--config', this.configFile],
    options: RunOptions = {},
  ): Promise<ServerProcess> {
    return ServerProcess.start(this, ['server', ...args], options)
  }

  /** Runs `kes server` to its end, as a start that fails does. */
  run(args: readonly string[] = ['--config', this.configFile], options: RunOptions = {}): Promise<Ran> {
    return runKes(['server', ...args], options)
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

function configText(
  { storeFile, keyFile, auditFile, folder, admin }: Installation,
  options: InstallationOptions,
): string {
  const { store, policies = {}, timeouts = {}, keys = [], workers, waitingPeriod = '0s', audit } = options
  return `${JSON.stringify(
    {
      version: 'v1',
      address: '127.0.0.1:0',
      workers, // Left out if undefined.
      admin: { identity: admin.identity },
      tls: { key: join(folder, 'server.key'), cert: join(folder, 'server.crt') },
      api: Object.fromEntries(Object.entries(timeouts).map(([path, timeout]) => [path, { timeout }])),
      policy: policies,
      console: options.console, // Left out if undefined.
      ...(audit === undefined ? {} : { log: { audit: { ...audit, file: auditFile } } }),
      keys: {
        deletion: { waiting_period: waitingPeriod },
        predefined: keys.map((name) => ({ name })),
      },
      keystore:
        store === 'fs'
          ? { fs: { path: join(folder, 'keys') } }
          : { sqlite: { path: storeFile, key_file: keyFile } },
    },
    undefined,
    2,
  )}\n`
}
