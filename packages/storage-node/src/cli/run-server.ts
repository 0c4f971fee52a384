/** A node in the foreground: started, announced, restarted on demand, stopped by a signal. */
import { existsSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { KmsConfigError, KmsError } from '@latchkey/kms-client/kms'
import pino, { type Logger } from 'pino'
import pretty from 'pino-pretty'
import { DataFolderLockedError, IndexDamagedError, NotADataFolderError } from '../disk/errors.ts'
import { BackendError } from '../node/backend.ts'
import { CredentialsError } from '../node/credentials.ts'
import { type StorageNode, startNode } from '../node/node.ts'
import type { RequestEvent } from '../s3/front.ts'
import type { Address, TlsFiles } from '../s3/listener.ts'
import { CliError, FatalError } from './outcome.ts'
import type { Io } from './program.ts'

export interface RunOptions {
  readonly folder: string
  readonly address: Address
  readonly tls: TlsFiles | undefined
  /** Of CAs that the key server's certificate may come from. */
  readonly caFolder: string
  readonly exitsWithoutKms: boolean
  readonly lockInFlight: 'cut' | 'finish'
  /** Undefined for the default. */
  readonly reserveBytes: number | undefined
  /** Whether the log is JSON. */
  readonly isJson: boolean
  /** Whether what the node tells at its start is. */
  readonly announcesJson: boolean
  readonly logsRequests: boolean
  readonly ignoresConsole: boolean
}

/** A signal that both npm and the terminal send comes twice, at once. */
const SAME_SIGNAL_MS = 500

/** Ends once the node has stopped. @throws CliError if it can't start. */
export async function runServer(options: RunOptions, io: Io): Promise<void> {
  const log = createLog(options, io)
  const stop = new AbortController()
  let firstSignalMs: number | undefined
  const onSignal = () => {
    if (firstSignalMs !== undefined && performance.now() - firstSignalMs > SAME_SIGNAL_MS) process.exit(1)
    firstSignalMs ??= performance.now()
    stop.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    if (options.ignoresConsole) log.warn('this node has no console: --console-address is ignored')
    let address = options.address
    while (!stop.signal.aborted) {
      const restart = new AbortController()
      const ended = AbortSignal.any([stop.signal, restart.signal])
      const node = await start({ ...options, address }, io, log, stop, restart)
      if (node === undefined) return
      address = { host: options.address.host, port: node.address.port }
      flushCompileCache() // Node does it at a clean end only: never, for a node that is always killed.
      announce(node, options, io, log)
      await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }))
      log.info(stop.signal.aborted ? 'stopping' : 'restarting')
      await node.stop()
    }
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

/** @returns undefined if the node was stopped while it waited for its key server. */
async function start(
  options: RunOptions,
  io: Io,
  log: Logger,
  stop: AbortController,
  restart: AbortController,
): Promise<StorageNode | undefined> {
  try {
    return await startNode({
      folder: options.folder,
      address: options.address,
      tls: options.tls,
      env: io.env,
      kms: existsSync(options.caFolder) ? { defaultCaPath: options.caFolder } : {},
      exitsWithoutKms: options.exitsWithoutKms,
      lockInFlight: options.lockInFlight,
      reserveBytes: options.reserveBytes,
      onNotice: (message) => log.warn(message),
      onRequest: (event) => logRequest(log, event, options.logsRequests),
      onService: (action) => (action === 'stop' ? stop : restart).abort(),
      signal: stop.signal,
    })
  } catch (error) {
    if (stop.signal.aborted) return undefined
    throw explain(error, options)
  }
}

/** In MinIO's words where it has any, so that what reads its log reads this one. */
function explain(error: unknown, { address, folder }: RunOptions): unknown {
  if (error instanceof KmsConfigError) return new FatalError(error.message, [], { cause: error })
  if (error instanceof KmsError) {
    return new FatalError(`Failed to connect to KMS: ${error.message}`, [], { cause: error })
  }
  if (error instanceof CredentialsError || error instanceof BackendError) {
    return new CliError(error.message, [], { cause: error })
  }
  if (error instanceof DataFolderLockedError || error instanceof NotADataFolderError) {
    return new CliError(error.message, [], { cause: error })
  }
  if (error instanceof IndexDamagedError) {
    return new CliError(error.message, [`'latchkey-node fsck ${folder}' makes the index anew`], {
      cause: error,
    })
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const shown = `${address.host}:${address.port}`
  if (code === 'EADDRINUSE') {
    return new CliError(`the address ${shown} is in use`, ['Another one can be given with --address'])
  }
  if (code === 'EACCES' && error instanceof Error) return new CliError(error.message)
  return error
}

function announce(node: StorageNode, options: RunOptions, io: Io, log: Logger): void {
  const { url, accessKey, kms } = node
  if (options.announcesJson) {
    io.stdout.write(`${JSON.stringify({ url, access_key: accessKey, kms: kms ?? null, pid: process.pid })}\n`)
  } else {
    const encryption =
      kms === undefined ? 'none: only keys of clients encrypt' : `${kms.type}, key '${kms.defaultKey}'`
    io.stdout.write(
      [
        '',
        `  S3          ${url}`,
        `  Access key  ${accessKey}`,
        `  KMS         ${encryption}`,
        `  Data        ${options.folder}`,
        '',
        '',
      ].join('\n'),
    )
  }
  if (node.hasDefaultCredentials) {
    log.warn('the root user has the keys that everybody knows: set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD')
  }
  if (options.tls === undefined) {
    log.warn('plain HTTP: whoever sees the network sees the objects, and keys of clients are refused')
  }
}

/** Queries are not logged: those of presigned URLs are as good as a password. */
function logRequest(log: Logger, event: RequestEvent, isVerbose: boolean): void {
  const { requestId, method, path, ip, status, durationMs, error } = event
  const isFailure = status >= 500
  // The reply had begun well, and ended in the middle.
  const isCut = status < 400 && error !== undefined
  if (!isVerbose && !isFailure && !isCut) return
  const request = { id: requestId, method, path, ip, status, duration_ms: Number(durationMs.toFixed(3)) }
  const problem = error === undefined ? 'served' : `${error.code}: ${error.message}`
  const text = isCut ? `cut in the middle: ${problem}` : problem
  const cause = causeOf(error)
  log[isFailure ? 'error' : isCut ? 'warn' : 'info'](
    { request, ...(cause === undefined ? {} : { cause }) },
    text,
  )
}

function causeOf(error: Error | undefined): string | undefined {
  const { cause } = error ?? {}
  if (cause === undefined) return undefined
  if (cause instanceof KmsError) return cause.message
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}

function createLog({ isJson }: RunOptions, io: Io): Logger {
  const destination = isJson ? io.stderr : pretty({ destination: io.stderr, ignore: 'pid,hostname' })
  return pino(
    {
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    destination,
  )
}
