/** A key server for tests, as the test holds it. */
import { ApiKey } from '../api-key.ts'
import { makeClientCertificate } from '../certificate.ts'
import { KesClient } from '../client.ts'
import { authorityPem, makeServerCredentials, serverCredentials } from './certificates.ts'
import type { Core, CoreOptions } from './core.ts'
import { checkFilter } from './fault-options.ts'
import { Faults } from './faults.ts'
import type { RequestFilter } from './matching.ts'
import type { RecordedRequest } from './request-log.ts'
import { TemporaryFolder } from './temporary-folder.ts'

const HOST = '127.0.0.1'

export type SandboxOptions = Pick<CoreOptions, 'keys' | 'erasedNames' | 'seed' | 'port'>

interface Parts {
  readonly options: SandboxOptions
  readonly core: Core
  readonly apiKey: ApiKey
  /** PEM. */
  readonly ca: string
  readonly paths: Record<'ca' | 'cert' | 'key', string>
  /** What the sandbox has open. */
  readonly open: AsyncDisposableStack
}

/**
 * A running server with keys in memory. Its API key is the admin's. Create, lock, unlock and erase go past all faults
 * and are not recorded.
 */
export class KesSandbox implements AsyncDisposable {
  /** `https://127.0.0.1:<port>`. The certificate is good for `localhost`, too. */
  readonly endpoint: string
  /** `kes:v1:…` */
  readonly apiKey: string
  /** Of the API key: 64 hex digits. */
  readonly identity: string
  /** PEM of the authority that has signed the server's certificate; one for all sandboxes of this process. */
  readonly ca: string
  /** The same as a file, which is removed on disposal, as the next two are. */
  readonly caPath: string
  /** The client certificate of the API key, and its private key, for clients that take no API key. */
  readonly certPath: string
  readonly keyPath: string
  /** What to set for MinIO (`MINIO_KMS_KES_…`) and for any client that reads `KES_…`. */
  readonly env: Readonly<Record<string, string>>
  readonly faults: Faults
  /** Of all chance in faults. */
  readonly seed: number
  readonly #parts: Parts
  #client: KesClient | undefined
  #control: KesClient | undefined
  #stopping: Promise<void> | undefined

  private constructor(parts: Parts) {
    const { core, apiKey, paths, options } = parts
    const [firstKey] = options.keys
    this.#parts = parts
    this.endpoint = `https://${HOST}:${core.port}`
    this.apiKey = apiKey.toString()
    this.identity = apiKey.identity
    this.ca = parts.ca
    this.caPath = paths.ca
    this.certPath = paths.cert
    this.keyPath = paths.key
    this.seed = options.seed
    this.faults = new Faults(core)
    this.env = {
      KES_SERVER: this.endpoint,
      KES_API_KEY: this.apiKey,
      KES_CA_PATH: this.caPath,
      MINIO_KMS_KES_ENDPOINT: this.endpoint,
      MINIO_KMS_KES_API_KEY: this.apiKey,
      MINIO_KMS_KES_CAPATH: this.caPath,
      ...(firstKey === undefined ? {} : { MINIO_KMS_KES_KEY_NAME: firstKey }),
    }
  }

  static async open(
    options: SandboxOptions,
    startCore: (options: CoreOptions) => Promise<Core>,
  ): Promise<KesSandbox> {
    await using open = new AsyncDisposableStack()
    const apiKey = ApiKey.generate()
    const ca = authorityPem()
    const certificate = makeClientCertificate(apiKey)
    const privateKey = apiKey.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const folder = open.use(new TemporaryFolder('kes-sandbox-'))
    const paths = {
      ca: folder.write('ca.crt', ca),
      cert: folder.write('client.crt', certificate.toString()),
      key: folder.write('client.key', privateKey),
    }
    const credentials = serverCredentials()
    const coreOptions = { ...options, adminIdentity: apiKey.identity, credentials }
    const core = open.adopt(await startCore(coreOptions), (started) => started.stop())
    return new KesSandbox({ options, core, apiKey, ca, paths, open: open.move() })
  }

  /** Of a client with the admin's API key, for a `KesClient` with further options. */
  get clientOptions(): { readonly endpoint: string; readonly apiKey: string; readonly ca: string } {
    return { endpoint: this.endpoint, apiKey: this.apiKey, ca: this.ca }
  }

  /** Such a client. It repeats no call, so that each one meets each fault once. */
  get client(): KesClient {
    this.#client ??= this.#open(new KesClient({ ...this.clientOptions, retries: 0 }))
    return this.#client
  }

  /** Makes a key, also under the name of an erased one. @throws KeyExistsError */
  async create(name: string): Promise<void> {
    await this.#admin.createKey(name, { reuse: true })
  }

  /** Disables a key: once this has returned, the server refuses every use of it. @throws KeyNotFoundError */
  async lock(name: string): Promise<void> {
    await this.#admin.disableKey(name)
  }

  /** Enables a key again. @throws KeyNotFoundError */
  async unlock(name: string): Promise<void> {
    await this.#admin.enableKey(name)
  }

  /** Deletes a key: what was encrypted under it is lost. @throws KeyNotFoundError */
  async erase(name: string): Promise<void> {
    await this.#admin.deleteKey(name)
  }

  /** Shows another certificate, of the same authority, to all who connect from now on. */
  async rotateCertificate(): Promise<void> {
    await this.#parts.core.replaceCredentials(makeServerCredentials())
  }

  /** The requests that came so far, oldest first: the last 10,000 at least. */
  async requests(filter: RequestFilter = {}): Promise<RecordedRequest[]> {
    return await this.#parts.core.listRequests(checkFilter({ ...filter }))
  }

  async clearRequests(): Promise<void> {
    await this.#parts.core.clearRequests()
  }

  /**
   * No faults, no recorded requests, and the keys of the start, which are new ones. Reserved names of other keys stay
   * reserved.
   */
  async reset(): Promise<void> {
    await this.#parts.core.restart()
    const names = await Array.fromAsync(this.#admin.listKeys())
    for (const name of names) await this.#admin.deleteKey(name)
    for (const name of this.#parts.options.keys) await this.create(name)
  }

  /** Ends the server, whatever hangs, and removes the files. */
  stop(): Promise<void> {
    this.#stopping ??= this.#parts.open.disposeAsync()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** To be closed with the sandbox. */
  #open(client: KesClient): KesClient {
    if (this.#stopping !== undefined) throw new Error('the sandbox has been stopped')
    return this.#parts.open.use(client)
  }

  /** On the server's own port, which has no faults. */
  get #admin(): KesClient {
    const endpoint = `https://${HOST}:${this.#parts.core.serverPort}`
    this.#control ??= this.#open(new KesClient({ ...this.clientOptions, endpoint }))
    return this.#control
  }
}
