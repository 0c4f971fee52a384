/** The server as programs start it. */
import type { DestinationStream } from 'pino'
import type { Intercept } from './http/interception.ts'
import type { Clocks } from './keyring/deletion-clock.ts'
import type { ErrorLog } from './log/error-log.ts'
import type { ServerConfig } from './running-config.ts'
import type { TlsCredentials } from './tls/credentials.ts'

export type { ServerConfig } from './running-config.ts'

export interface ServerOptions {
  readonly config: ServerConfig
  /** The error log; usually stderr. */
  readonly errorOutput: DestinationStream
  /** The audit log; usually stdout. */
  readonly auditOutput: DestinationStream
  /** By which scheduled deletions become due. Default: the system's. */
  readonly clocks?: Clocks
  /**
   * Stands before every request. No config reaches it: it is for programs that embed the server, which then is one
   * process.
   */
  readonly intercept?: Intercept
}

export interface KesServer {
  /** In force now. */
  readonly config: ServerConfig
  readonly address: { readonly host: string; readonly port: number }
  /** `https://127.0.0.1:7373` */
  readonly url: string
  /** What a browser opens; undefined without a console. */
  readonly consoleUrl: string | undefined
  /** What the banner calls the key store. */
  readonly storeLabel: string
  /** Tells the operator, in the error log. */
  readonly log: Pick<ErrorLog, 'info' | 'warn' | 'error'>
  /**
   * Puts another config into force in every process of the server, without a request that fails; a warning in the error
   * log names what takes effect at a restart only.
   *
   * @param read - called when no other change is under way.
   * @throws CredentialsError, or what `read` does, with the old config left in force.
   */
  readonly reload: (read: () => ServerConfig) => Promise<void>
  /** Shows another certificate to all who connect from now on. */
  readonly replaceCredentials: (credentials: TlsCredentials) => Promise<void>
  /** Refuses new requests, waits for those that run, closes the store. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server, or throws one error that says in a line why not, with nothing left open.
 *
 * @throws CredentialsError, StoreOpenError, SealOpenError, UnsupportedStoreError, ConsoleMissingError, ConsoleListenError,
 *   or what listening throws.
 */
export async function startServer(options: ServerOptions): Promise<KesServer> {
  const { keystore, workers = 1 } = options.config
  const isSingle = workers === 1 || keystore.type === 'memory' || options.intercept !== undefined
  // Loaded here: a supervisor needs nothing of what serves requests.
  if (isSingle) {
    const { startSingleProcess } = await import('./single-process.ts')
    return await startSingleProcess(options)
  }
  const { startSupervised } = await import('./several-processes.ts')
  return await startSupervised(options, workers)
}
