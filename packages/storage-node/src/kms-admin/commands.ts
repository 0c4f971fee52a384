/**
 * The KMS and admin APIs that `mc` calls, `/minio/kms/v1/…` and a few of `/minio/admin/v3/…`, and those of this node's own
 * command line and of the key server's console.
 */
import { hostname, totalmem } from 'node:os'
import { KmsError, type KmsStatus } from '@latchkey/kms-client/kms'
import type { ObjectStore } from '../disk/object-store.ts'
import type { BucketSettings } from '../s3/bucket-settings.ts'
import { type Call, EMPTY_OK, type Reply } from '../s3/call.ts'
import { S3Error } from '../s3/errors.ts'
import type { Query } from '../s3/target.ts'
import type { MeteredKms } from './metered-kms.ts'
import { json, required } from './replies.ts'
import { explain, rotate, UPKEEP } from './upkeep-commands.ts'
import { viewBuckets, viewKeyHoldings, viewObjects } from './view-commands.ts'

export interface AdminServices {
  readonly kms: MeteredKms | undefined
  readonly store: ObjectStore
  readonly settings: BucketSettings
  readonly isBackendUnder: (externalKey: string) => boolean
  /** `host:port` */
  readonly address: () => string
  readonly describe: () => NodeDescription
  /** After the reply has gone out. */
  readonly restart: () => void
  readonly stop: () => void
}

export interface NodeDescription {
  readonly deploymentId: string
  readonly version: string
  readonly uptimeSeconds: number
  readonly buckets: number
  readonly objects: number
  /** Of the plaintext. */
  readonly bytes: number
  readonly drive: { readonly path: string; readonly totalBytes: number; readonly freeBytes: number }
}

export type AdminCommand = (services: AdminServices, call: Call) => Promise<Reply>

interface AdminRoute {
  readonly method: string
  readonly path: string
  /** Without this parameter MinIO finds no such route. */
  readonly parameter?: string
  readonly run: AdminCommand
}

const KMS = '/minio/kms/v1'
const ADMIN = '/minio/admin/v3'

const ROUTES: readonly AdminRoute[] = [
  { method: 'GET', path: `${KMS}/status`, run: status },
  { method: 'GET', path: `${KMS}/metrics`, run: metrics },
  { method: 'GET', path: `${KMS}/version`, run: version },
  { method: 'GET', path: `${KMS}/apis`, run: apis },
  { method: 'POST', path: `${KMS}/key/create`, parameter: 'key-id', run: createKey },
  { method: 'GET', path: `${KMS}/key/list`, parameter: 'pattern', run: listKeys },
  { method: 'GET', path: `${KMS}/key/status`, run: keyStatus },
  { method: 'POST', path: `${ADMIN}/kms/status`, run: status },
  { method: 'POST', path: `${ADMIN}/kms/key/create`, parameter: 'key-id', run: createKey },
  { method: 'GET', path: `${ADMIN}/kms/key/status`, run: keyStatus },
  { method: 'GET', path: `${ADMIN}/info`, run: info },
  { method: 'POST', path: `${ADMIN}/service`, parameter: 'action', run: service },
  { method: 'GET', path: `${UPKEEP}/explain`, parameter: 'key', run: explain },
  { method: 'POST', path: `${UPKEEP}/rotate`, parameter: 'to', run: rotate },
  { method: 'GET', path: `${UPKEEP}/buckets`, run: viewBuckets },
  { method: 'GET', path: `${UPKEEP}/objects`, parameter: 'bucket', run: viewObjects },
  { method: 'GET', path: `${UPKEEP}/objects-of-key`, parameter: 'key', run: viewKeyHoldings },
]

/**
 * @returns undefined for a path of another API.
 * @throws S3Error 400 or 426 for a call that this node has not.
 */
export function findAdminCommand(method: string, path: string, query: Query): AdminCommand | undefined {
  if (!path.startsWith('/minio/')) return undefined
  const route = ROUTES.find(
    (each) =>
      each.method === method &&
      each.path === path &&
      (each.parameter === undefined || query.has(each.parameter)),
  )
  if (route !== undefined) return route.run
  if (path.startsWith('/minio/admin/')) {
    throw S3Error.of('XMinioAdminVersionMismatch')
  }
  throw S3Error.of('BadRequest', {
    message: `An unsupported API call for method: ${method} at '${path}'`,
  })
}

async function status({ kms: some }: AdminServices): Promise<Reply> {
  const kms = required(some)
  const found = await inAdminWords(() => kms.status())
  return json({
    name: found.type,
    'default-key-id': found.defaultKey,
    endpoints: endpointsOf(found),
    // MinIO reports nothing of these, whatever the key server says.
    state: {
      Version: '',
      KeyStoreLatency: 0,
      KeyStoreReachable: false,
      KeystoreAvailable: false,
      OS: '',
      Arch: '',
      UpTime: 0,
      CPUs: 0,
      UsableCPUs: 0,
      HeapAlloc: 0,
      StackAlloc: 0,
    },
  })
}

function endpointsOf({ endpoints }: KmsStatus): Record<string, string> {
  return Object.fromEntries(endpoints.map(({ endpoint, state }) => [endpoint, state]))
}

async function metrics({ kms }: AdminServices): Promise<Reply> {
  return json(required(kms).metrics())
}

async function version({ kms: some }: AdminServices): Promise<Reply> {
  const kms = required(some)
  const { version } = await inAdminWords(() => kms.version())
  return json({ version })
}

async function apis({ kms: some }: AdminServices): Promise<Reply> {
  const kms = required(some)
  const found = await inAdminWords(() => kms.apis())
  return json(
    found.map(({ method, path, bodyBytesMax, timeoutSeconds }) => ({
      method,
      path,
      max_body: bodyBytesMax,
      timeout: timeoutSeconds,
    })),
  )
}

async function createKey({ kms: some }: AdminServices, { target }: Call): Promise<Reply> {
  const kms = required(some)
  await inAdminWords(() => kms.createKey(target.query.get('key-id') ?? ''))
  return EMPTY_OK
}

/** What Go prints for a time that was never set: MinIO knows neither when a key was made nor by whom. */
const NO_TIME = '0001-01-01T00:00:00Z'

async function listKeys({ kms: some }: AdminServices, { target }: Call): Promise<Reply> {
  const kms = required(some)
  const pattern = target.query.get('pattern') ?? ''
  const prefix = pattern === '*' ? '' : pattern
  const names = await inAdminWords(async () => {
    const found: string[] = []
    for await (const name of kms.listKeys(prefix)) found.push(name)
    return found
  })
  return json(names.map((name) => ({ createdAt: NO_TIME, createdBy: '', name })))
}

/** A key that does not work is no failure of this call: the reply says what is wrong. */
async function keyStatus({ kms: some }: AdminServices, { target }: Call): Promise<Reply> {
  const kms = required(some)
  const name = target.query.get('key-id') || kms.defaultKey
  const { encryptionError, decryptionError } = await kms.checkKey(name)
  return json({
    'key-id': name,
    ...(encryptionError && { 'encryption-error': textOf(encryptionError) }),
    ...(decryptionError && { 'decryption-error': textOf(decryptionError) }),
  })
}

/** The fields of madmin's InfoMessage that `mc admin info` shows. */
async function info({ kms, describe, address }: AdminServices): Promise<Reply> {
  const node = describe()
  const kmsStatus = kms && (await kms.status())
  return json({
    mode: 'online',
    deploymentID: node.deploymentId,
    buckets: { count: node.buckets },
    objects: { count: node.objects },
    versions: { count: 0 },
    deletemarkers: { count: 0 },
    usage: { size: node.bytes },
    services: {
      kmsStatus: kmsStatus === undefined ? [] : describeKms(kmsStatus),
      ldap: {},
      notifications: null,
    },
    backend: {
      backendType: 'Erasure',
      onlineDisks: 1,
      offlineDisks: 0,
      standardSCParity: 0,
      rrSCParity: 0,
      totalSets: [1],
      totalDrivesPerSet: [1],
    },
    servers: [
      {
        state: 'online',
        endpoint: address(),
        scheme: 'https',
        uptime: Math.floor(node.uptimeSeconds),
        version: node.version,
        commitID: '',
        network: { [address()]: 'online' },
        drives: [
          {
            endpoint: node.drive.path,
            rootDisk: false,
            path: node.drive.path,
            healing: false,
            scanning: false,
            state: 'ok',
            uuid: node.deploymentId,
            major: 0,
            minor: 0,
            totalspace: node.drive.totalBytes,
            usedspace: node.drive.totalBytes - node.drive.freeBytes,
            availspace: node.drive.freeBytes,
            pool_index: 0,
            set_index: 0,
            disk_index: 0,
          },
        ],
        poolNumber: 1,
        mem_stats: {
          Alloc: process.memoryUsage.rss(),
          TotalAlloc: totalmem(),
          Mallocs: 0,
          Frees: 0,
          HeapAlloc: 0,
        },
        go_max_procs: 0,
        num_cpu: 0,
        runtime_version: `node ${process.versions.node}`,
        hostname: hostname(),
      },
    ],
  })
}

function describeKms({ type, endpoints }: KmsStatus) {
  return endpoints.map(({ endpoint, state }) => ({
    status: state,
    encrypt: state === 'online' ? 'success' : 'failed',
    decrypt: state === 'online' ? 'success' : 'failed',
    endpoint,
    version: type,
  }))
}

async function service({ restart, stop, address }: AdminServices, { target }: Call): Promise<Reply> {
  const action = target.query.get('action') ?? ''
  const isDryRun = target.query.get('dry-run') === 'true'
  const run = action === 'restart' ? restart : action === 'stop' ? stop : undefined
  if (run === undefined) {
    throw S3Error.of('NotImplemented', { detail: `the service action '${action}' is not supported` })
  }
  const reply = json({ action, dryRun: isDryRun, results: [{ host: address() }] })
  return isDryRun ? reply : { ...reply, afterwards: run }
}

/** These APIs answer 500 for whatever the KMS says, with its words in parentheses. */
async function inAdminWords<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    throw S3Error.of('InternalError', { detail: textOf(error), cause: error })
  }
}

/** Operations of which MinIO passes on what its client library said, without words of its own. */
const WORDLESS: readonly KmsError['operation'][] = ['list', 'version']

/** MinIO's own words where it has any; else what it did, and what the key server said. */
function textOf(error: KmsError): string {
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  if (cause !== undefined && WORDLESS.includes(error.operation)) return cause
  const { status, message } = error.minio
  return status !== 500 || cause === undefined ? message : `${message}: ${cause}`
}
