/**
 * The node's own data: its name, and the settings of buckets. With a KMS it lies encrypted under the default key, in the
 * format of MinIO's configuration, so that a node does not start without its key; that can't be taken back.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Kms, KmsError } from '@latchkey/kms-client/kms'
import {
  ConfigFileError,
  decryptConfig,
  encryptConfig,
  isEncryptedConfig,
  readConfigHeader,
} from '../backend/config-file.ts'
import { StreamNotAuthenticError } from '../backend/config-stream.ts'
import { replaceFile } from '../disk/durable-file.ts'
import type { SettingsCodec } from '../s3/bucket-settings.ts'

const FILE = 'config.json'
const CONFIG_PATH = 'config/config.json'
const RETRY_MS = 1000

/** The node can't start with its own data as it is. The message is for the operator. */
export class BackendError extends Error {
  override readonly name = 'BackendError'
}

export interface Backend {
  /** Names this node, for good. */
  readonly deploymentId: string
  readonly codec: SettingsCodec
  /** Whether the node's own data, or these settings of a bucket, lie under this external key. */
  readonly isUnder: (externalKey: string, settings: readonly Uint8Array[]) => boolean
}

export interface BackendOptions {
  readonly folder: string
  readonly kms: Kms | undefined
  /** Give up where there is no key server, instead of waiting for it. */
  readonly exitsWithoutKms: boolean
  /** Tells the operator what the node waits for. */
  readonly onWait: (message: string) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads the node's data, or makes it at the first start. A default key that is missing is made then, and never later:
 * where data exists, a new key of that name would only hide that the old one is gone.
 *
 * @throws {@link BackendError}, KmsError
 */
export async function openBackend(options: BackendOptions): Promise<Backend> {
  const { folder, kms } = options
  const path = join(folder, FILE)
  const file = existsSync(path) ? readFileSync(path) : undefined
  if (kms === undefined) return openPlain(path, file)
  if (file !== undefined && isEncryptedConfig(file)) {
    const plain = await persistently(options, () => decryptOwn(kms, path, file))
    return { deploymentId: readConfig(path, plain), codec: sealedCodec(kms), isUnder: isUnder(path) }
  }
  const deploymentId = file === undefined ? randomUUID() : readConfig(path, file)
  await persistently(options, async () => {
    await kms.start()
    replaceFile(path, await encryptConfig(kms, CONFIG_PATH, writeConfig(deploymentId)))
  })
  return { deploymentId, codec: sealedCodec(kms), isUnder: isUnder(path) }
}

/** As they lie there now; what can't be read lies under no key. */
function isUnder(path: string): Backend['isUnder'] {
  return (externalKey, settings) =>
    [readFileSync(path), ...settings.map((sealed) => Buffer.from(sealed))].some(
      (file) => keyOf(file) === externalKey,
    )
}

function keyOf(file: Buffer): string | undefined {
  if (!isEncryptedConfig(file)) return undefined
  try {
    return readConfigHeader(file).header.keyName
  } catch (error) {
    if (error instanceof ConfigFileError) return undefined
    throw error
  }
}

function openPlain(path: string, file: Buffer | undefined): Backend {
  if (file === undefined) {
    const deploymentId = randomUUID()
    replaceFile(path, writeConfig(deploymentId))
    return { deploymentId, codec: PLAIN, isUnder: isUnder(path) }
  }
  if (isEncryptedConfig(file)) {
    const { keyName } = headerOf(path, file)
    throw new BackendError(
      `the node's data is encrypted under the key '${keyName}', and no KMS is configured: set MINIO_KMS_KES_ENDPOINT and the variables beside it`,
    )
  }
  return { deploymentId: readConfig(path, file), codec: PLAIN, isUnder: isUnder(path) }
}

async function decryptOwn(kms: Kms, path: string, file: Buffer): Promise<Buffer> {
  const { keyName } = headerOf(path, file)
  try {
    return await decryptConfig(kms, CONFIG_PATH, file)
  } catch (error) {
    if (error instanceof StreamNotAuthenticError) throw damaged(path, error)
    if (!(error instanceof KmsError)) throw error
    const problem = PROBLEMS[error.reason]
    if (problem === undefined) throw error
    throw new BackendError(`the node's data is encrypted under the key '${keyName}', which ${problem}`, {
      cause: error,
    })
  }
}

const PROBLEMS: Partial<Record<KmsError['reason'], string>> = {
  locked: 'is locked: enable it, and start the node again',
  erased:
    'does not exist at the key server: it was erased, or this is another key server. It is not made again, because what was encrypted under it would stay unreadable',
  'not-allowed': "this node's identity may not use: have its policy changed",
  'wrong-ciphertext':
    'has the same name and other bytes: the key was made again, or this is another key server',
}

/** Waits for a key server that can't be reached; everything else is the operator's. */
async function persistently<Result>(
  options: BackendOptions,
  attempt: () => Promise<Result>,
): Promise<Result> {
  let hasTold = false
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const isUnreachable = error instanceof KmsError && error.reason === 'unreachable'
      if (!isUnreachable || options.exitsWithoutKms) throw error
      if (!hasTold) options.onWait(`waiting for the key server: ${error.message}`)
      hasTold = true
    }
    await delay(RETRY_MS, undefined, { signal: options.signal })
  }
}

interface NodeConfig {
  readonly deploymentId: string
}

function writeConfig(deploymentId: string): Buffer {
  const config: NodeConfig = { deploymentId }
  return Buffer.from(`${JSON.stringify(config)}\n`)
}

function readConfig(path: string, plain: Buffer): string {
  try {
    const config: Partial<NodeConfig> = JSON.parse(plain.toString())
    if (typeof config.deploymentId === 'string') return config.deploymentId
  } catch (cause) {
    throw damaged(path, cause)
  }
  throw damaged(path)
}

function headerOf(path: string, file: Buffer) {
  try {
    return readConfigHeader(file).header
  } catch (error) {
    throw error instanceof ConfigFileError ? damaged(path, error) : error
  }
}

function damaged(path: string, cause?: unknown): BackendError {
  return new BackendError(`the file '${path}' is damaged`, { cause })
}

const PLAIN: SettingsCodec = {
  seal: async (_bucket, plain) => plain,
  open: async (_bucket, sealed) => Buffer.from(sealed),
}

/** Settings from before there was a KMS are read as they are. */
function sealedCodec(kms: Kms): SettingsCodec {
  return {
    seal: (bucket, plain) => encryptConfig(kms, settingsPath(bucket), plain),
    open: async (bucket, sealed) =>
      isEncryptedConfig(sealed) ? decryptConfig(kms, settingsPath(bucket), sealed) : Buffer.from(sealed),
  }
}

function settingsPath(bucket: string): string {
  return `buckets/${bucket}/settings.json`
}
