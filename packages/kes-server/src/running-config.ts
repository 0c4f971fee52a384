/** The config that a server runs with, and how another one, or other certificate files, come into force in it. */
import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config/config.ts'
import type { ErrorLog } from './log/error-log.ts'
import type { ServerTally } from './metrics/server-tally.ts'
import { reasonOf } from './reason.ts'
import { CertificateWatch } from './tls/certificate-watch.ts'
import { readClientCas, readCredentials, type TlsCredentials } from './tls/credentials.ts'
import { assertUsable, type ListenerSettings } from './tls/secure-context.ts'

/** The file-based part of the TLS config, or a key pair that the caller has made. */
export type ServerConfig = Omit<Config, 'tls'> & {
  readonly tls: Config['tls'] | { readonly made: TlsCredentials }
}

const DAY_MS = 86_400_000
/** How long before its end a certificate is warned of. */
const WARNING_DAYS = 14

export interface RunningConfigOptions {
  /** What the server was started with. */
  readonly config: ServerConfig
  readonly listener: ListenerSettings
  readonly errorLog: ErrorLog
  readonly tally: ServerTally
  /** Puts settings into force that have been checked: it does not fail halfway. */
  readonly apply: (config: ServerConfig, listener: ListenerSettings) => Promise<void>
  /** Makes the predefined keys of a config that has come into force. */
  readonly createKeys: (config: ServerConfig) => Promise<void>
}

export class RunningConfig {
  readonly #options: RunningConfigOptions
  readonly #watch: CertificateWatch
  readonly #daily: NodeJS.Timeout
  #config: ServerConfig
  #listener: ListenerSettings
  #isStopped = false
  #lastChange: Promise<void> = Promise.resolve()

  constructor(options: RunningConfigOptions) {
    this.#options = options
    this.#config = options.config
    this.#listener = options.listener
    this.#watch = new CertificateWatch(
      () => certificateFilesOf(this.#config),
      () => this.#readCertificates(),
    )
    this.#lookAtEnd()
    this.#daily = setInterval(() => this.#lookAtEnd(), DAY_MS).unref()
  }

  /** In force now. What takes effect at a restart only is as it was at the start. */
  get config(): ServerConfig {
    return this.#config
  }

  /**
   * Puts another config into force: all that can change in a running server. A warning names the rest.
   *
   * @param read - called when no other change is under way.
   * @throws CredentialsError, or what `read` does, with the old config left in force.
   */
  reload(read: () => ServerConfig): Promise<void> {
    return this.#inTurn(async () => {
      const { tally } = this.#options
      try {
        await this.#replaceConfig(read())
        tally.reloads += 1
      } catch (error) {
        tally.failedReloads += 1
        throw error
      }
    })
  }

  async #replaceConfig(next: ServerConfig): Promise<void> {
    const { errorLog, apply, createKeys } = this.#options
    const listener = listenerSettingsOf(next)
    assertUsable(listener)
    const rest = fieldsForRestart(this.#config, next)
    const { address, workers, keystore, keysOptions, log, console } = this.#config
    this.#config = {
      ...next,
      address,
      workers,
      keystore,
      keysOptions,
      console,
      log: { ...next.log, auditFile: log.auditFile },
    }
    this.#listener = listener
    await apply(this.#config, listener)
    this.#lookAtEnd()
    for (const field of rest)
      errorLog.warn(`'${field}' of the config has changed: restart the server for it to take effect`)
    try {
      await createKeys(this.#config)
    } catch (error) {
      errorLog.error(`predefined keys could not be made: ${reasonOf(error)}`)
    }
  }

  /** Shows another certificate to all who connect from now on; whom the server lets in stays as it is. */
  replaceCredentials(credentials: TlsCredentials): Promise<void> {
    return this.#inTurn(() => this.#replaceListener({ ...this.#listener, credentials }))
  }

  /** Fulfilled when the change that is being made has been; further ones are not made. */
  stop(): Promise<void> {
    this.#isStopped = true
    this.#watch.stop()
    clearInterval(this.#daily)
    return this.#lastChange
  }

  #readCertificates(): Promise<void> {
    return this.#inTurn(async () => {
      const { errorLog, tally } = this.#options
      try {
        const listener = listenerSettingsOf(this.#config)
        if (isDeepStrictEqual(listener, this.#listener)) return
        await this.#replaceListener(listener)
        tally.reloads += 1
        errorLog.info('the certificate files have changed: the new ones are in use')
      } catch (error) {
        tally.failedReloads += 1
        errorLog.error(
          `Failed to reload TLS configuration: ${reasonOf(error)}; the old certificates stay in use`,
        )
      }
    })
  }

  async #replaceListener(listener: ListenerSettings): Promise<void> {
    assertUsable(listener)
    this.#listener = listener
    await this.#options.apply(this.#config, listener)
    this.#lookAtEnd()
  }

  /** Tells how long the certificate lasts, and of one that ends soon. */
  #lookAtEnd(): void {
    const { errorLog, tally } = this.#options
    const { validToDate } = new X509Certificate(this.#listener.credentials.certPem)
    tally.certificateEndsMs = validToDate.getTime()
    const days = (validToDate.getTime() - Date.now()) / DAY_MS
    const date = validToDate.toISOString()
    if (days <= 0) errorLog.error(`the TLS certificate has ended at ${date}: clients refuse it`)
    else if (days < WARNING_DAYS)
      errorLog.warn(`the TLS certificate ends at ${date}, in ${Math.floor(days)} days`)
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const result = this.#lastChange.then(() => (this.#isStopped ? undefined : change()))
    this.#lastChange = result.catch(() => undefined) // Whoever asked for it is told.
    return result
  }
}

/** @throws CredentialsError */
export function listenerSettingsOf(config: ServerConfig): ListenerSettings {
  const isRequired = ![...config.api.values()].some(({ skipAuth }) => skipAuth)
  if ('made' in config.tls) {
    return {
      credentials: config.tls.made,
      clientCertificates: { isRequired, isVerified: false, cas: [] },
      proxies: undefined,
    }
  }
  const { keyFile, certFile, password, auth, caPath, proxy } = config.tls
  const credentials = readCredentials(keyFile, certFile, password?.reveal())
  const cas = caPath === undefined ? [] : readClientCas(caPath)
  return {
    credentials,
    clientCertificates: { isRequired, isVerified: auth, cas },
    proxies:
      proxy.certHeader === undefined || proxy.identities.length === 0
        ? undefined
        : { identities: proxy.identities, header: proxy.certHeader },
  }
}

function certificateFilesOf({ tls }: ServerConfig): string[] {
  if ('made' in tls) return []
  return [tls.keyFile, tls.certFile, ...(tls.caPath === undefined ? [] : [tls.caPath])]
}

/** Those that differ; a changed passphrase is none: the store is open. */
function fieldsForRestart(running: ServerConfig, next: ServerConfig): string[] {
  const fields: readonly (readonly [string, (config: ServerConfig) => unknown])[] = [
    ['address', ({ address }) => address],
    ['workers', ({ workers }) => workers],
    ['keystore', ({ keystore }) => keystore],
    ['keys.deletion', ({ keysOptions }) => keysOptions.waitingPeriodMs],
    ['keys.erased_names', ({ keysOptions }) => keysOptions.erasedNames],
    ['log.audit.file', ({ log }) => log.auditFile],
    ['console', ({ console }) => comparable(console)],
  ]
  return fields.filter(([, read]) => !isDeepStrictEqual(read(running), read(next))).map(([name]) => name)
}

/** A secret hides what it holds from comparisons, too. */
function comparable(settings: ServerConfig['console']): unknown {
  const node = settings?.node
  const keys = node && [node.accessKey.reveal(), node.secretKey.reveal()]
  return { ...settings, isOn: settings !== undefined, keys }
}
