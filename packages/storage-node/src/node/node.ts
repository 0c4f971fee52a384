/** Builds every stage of the node once, connects them, and takes them down again. */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { type Environment, isAutoEncryption, type KmsOptions, openKms } from '@latchkey/kms-client/kms'
import { FileObjectStore } from '../disk/file-object-store.ts'
import { diskStateOf } from '../disk/free-space.ts'
import { type AdminServices, findAdminCommand } from '../kms-admin/commands.ts'
import { findHealthCheck } from '../kms-admin/health.ts'
import { MeteredKms } from '../kms-admin/metered-kms.ts'
import { BucketSettings } from '../s3/bucket-settings.ts'
import { type Command, createFront, type RequestEvent } from '../s3/front.ts'
import { type Address, listen, type TlsFiles } from '../s3/listener.ts'
import type { NodeServices } from '../s3/node-services.ts'
import { postObject } from '../s3/post-object.ts'
import { ReadGuards } from '../s3/read-guards.ts'
import { findRoute } from '../s3/routes.ts'
import { VERSION } from '../version.ts'
import { openBackend } from './backend.ts'
import { rootCredentials } from './credentials.ts'
import { KeyWatch } from './key-watch.ts'

export interface NodeOptions {
  /** The data folder; it is made if it is missing. */
  readonly folder: string
  readonly address: Address
  /** Without it the node speaks plain HTTP, and takes no keys of clients. */
  readonly tls?: TlsFiles | undefined
  /** MinIO's variables: KMS, root user, `MINIO_DOMAIN`, `MINIO_KMS_AUTO_ENCRYPTION`. */
  readonly env?: Environment
  /** Where CAs of the key server are looked for if the environment does not say, and how calls are made. */
  readonly kms?: KmsOptions
  /** End with an error where there is no key server, as MinIO does, instead of waiting for it. */
  readonly exitsWithoutKms?: boolean
  /** What becomes of a read whose key is locked meanwhile. Default: `cut`. */
  readonly lockInFlight?: 'cut' | 'finish'
  /** What new data must leave free on the disk. Default: a hundredth of it, 64 MiB at least and 1 GiB at most. */
  readonly reserveBytes?: number | undefined
  /** For the operator: what the node waits for, what went wrong behind an answer. */
  readonly onNotice?: (message: string) => void
  readonly onRequest?: (event: RequestEvent) => void
  /** `mc admin service restart` and `stop`, after they have been answered. */
  readonly onService?: (action: 'restart' | 'stop') => void
  /** Ends a start that waits. */
  readonly signal?: AbortSignal
}

export interface StorageNode extends AsyncDisposable {
  /** `https://127.0.0.1:9000` */
  readonly url: string
  readonly address: { readonly host: string; readonly port: number }
  readonly accessKey: string
  /** Whether the root user's keys are those that everybody knows. */
  readonly hasDefaultCredentials: boolean
  /** What encrypts: the kind of KMS and its default key; undefined without one. */
  readonly kms: { readonly type: string; readonly defaultKey: string } | undefined
  /** Takes no further requests, waits for those that run, closes everything. */
  stop(): Promise<void>
}

/**
 * Starts a node, or throws one error that says why not, with nothing left open.
 *
 * @throws KmsConfigError, CredentialsError, BackendError, KmsError, StorageError, or what listening throws.
 */
export async function startNode(options: NodeOptions): Promise<StorageNode> {
  const { folder, env = {}, onNotice = () => {} } = options
  const startedMs = performance.now()
  await using resources = new AsyncDisposableStack()
  const opened = openKms(env, options.kms)
  const kms = opened && resources.use(new MeteredKms(opened))
  const store = resources.use(
    await FileObjectStore.open(folder, {
      onProblem: (error) => onNotice(messageOf(error)),
      reserveBytes: options.reserveBytes,
    }),
  )
  const backend = await openBackend({
    folder,
    kms,
    exitsWithoutKms: options.exitsWithoutKms ?? false,
    onWait: onNotice,
    signal: options.signal,
  })
  const credentials = await rootCredentials(env, kms)
  const reads = new ReadGuards()
  if (kms !== undefined && options.lockInFlight !== 'finish') resources.use(new KeyWatch(kms, reads))
  const services: NodeServices = {
    store,
    kms,
    settings: new BucketSettings(store, backend.codec),
    reads,
    isAutoEncrypting: isAutoEncryption(env),
  }
  const secretOf = (accessKey: string) =>
    accessKey === credentials.accessKey ? credentials.secretKey : undefined
  let host = ''
  const admin: AdminServices = {
    kms,
    store,
    settings: services.settings,
    isBackendUnder: (externalKey) =>
      backend.isUnder(
        externalKey,
        store.buckets().flatMap(({ settings }) => settings ?? []),
      ),
    address: () => host,
    describe: () => describe(folder, store, backend.deploymentId, startedMs),
    restart: () => options.onService?.('restart'),
    stop: () => options.onService?.('stop'),
  }
  const handle = createFront({
    secretOf,
    domains: (env.MINIO_DOMAIN ?? '').split(',').filter((domain) => domain !== ''),
    hostId: createHash('sha256').update(backend.deploymentId).digest('hex'),
    now: () => Date.now(),
    open: (method, { path }) => findHealthCheck(method, path, kms),
    formUpload: (call) => postObject(services, call, secretOf, Date.now()),
    route(method, target, headers): Command {
      const command = findAdminCommand(method, target.path, target.query)
      if (command !== undefined) return (call) => command(admin, call)
      const run = findRoute(method, target, headers)
      return (call) => run(services, call)
    },
    onRequest: options.onRequest ?? (() => {}),
  })
  const listener = await listen(options.address, options.tls, handle)
  resources.defer(() => listener.close())
  const shown =
    listener.address.host === '0.0.0.0' || listener.address.host === '::'
      ? '127.0.0.1'
      : listener.address.host
  host = `${isIPv6(shown) ? `[${shown}]` : shown}:${listener.address.port}`
  const running = resources.move()
  return {
    url: `${listener.isSecure ? 'https' : 'http'}://${host}`,
    address: listener.address,
    accessKey: credentials.accessKey,
    hasDefaultCredentials: credentials.isDefault,
    kms: kms && { type: kms.type, defaultKey: kms.defaultKey },
    stop: () => running.disposeAsync(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function describe(folder: string, store: FileObjectStore, deploymentId: string, startedMs: number) {
  const { buckets, objects, bytes } = store.totals()
  return {
    deploymentId,
    version: VERSION,
    uptimeSeconds: (performance.now() - startedMs) / 1000,
    buckets,
    objects,
    bytes,
    drive: { path: folder, ...diskStateOf(folder) },
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
