/** A client of a key server, or of several with the same keys: one method for each call of the KES API. */
import { KesApiError } from './api-error.ts'
import { ApiKey } from './api-key.ts'
import { type BackupInfo, decodeBackupInfo } from './backup.ts'
import { encodeBase64 } from './base64.ts'
import { KesClientError, KesConnectionError, KesProtocolError, KesTimeoutError } from './errors.ts'
import {
  decodeJournalEntries,
  decodeJournalHead,
  decodeKeyHistory,
  decodeReceipt,
  type ErasureReceipt,
  type JournalEntry,
  type JournalHead,
  type JournalPage,
  type SignedJournalEntry,
} from './journal.ts'
import { decodeKeyEvent, type KeyEvent } from './key-watch.ts'
import { decodeMetrics, type KesMetrics } from './metrics.ts'
import { checkName, checkPattern, listArgument } from './names.ts'
import { readLines } from './ndjson.ts'
import {
  type Api,
  type AuditEvent,
  type DamagedKeyInfo,
  type DataKey,
  decodeApis,
  decodeAuditEvent,
  decodeBytes,
  decodeDataKey,
  decodeDeletion,
  decodeErrorEvent,
  decodeIdentityInfo,
  decodeKeyDetails,
  decodeKeyInfo,
  decodeKeysChanged,
  decodeNames,
  decodePolicy,
  decodePolicyInfo,
  decodeSelfInfo,
  decodeStatus,
  decodeVersion,
  type ErrorEvent,
  type IdentityInfo,
  type KeyAlgorithm,
  type KeyInfo,
  type KeysChanged,
  type Page,
  type Policy,
  type PolicyInfo,
  type SelfInfo,
  type ServerStatus,
  type ServerVersion,
} from './replies.ts'
import {
  decodeSealInfo,
  decodeSlotChange,
  encodeRotationSlots,
  encodeSecret,
  type RotationSlots,
  type SealInfo,
  type SealSecret,
  type SlotChange,
} from './seal.ts'
import { type CertificateFiles, type ClientCertificate, ClientTls } from './transport/client-tls.ts'
import { type Endpoint, parseEndpoint } from './transport/endpoint.ts'
import { expandEndpoints } from './transport/endpoint-list.ts'
import { FailoverTransport } from './transport/failover-transport.ts'
import type { HttpProtocol } from './transport/tls-connector.ts'
import type { Transport, TransportReply, TransportRequest, TransportStream } from './transport/transport.ts'

const TIMEOUT_MS = 30_000
const RETRIES = 2
const RETRY_DELAY_MS = 250
const ATTEMPT_TIMEOUT_MS = 2_000
const LOOK_TIMEOUT_MS = 5_000
const AMOUNTS = ['timeoutMs', 'retries', 'retryDelayMs', 'attemptTimeoutMs'] as const
/** Stretching passphrases takes seconds at the highest cost that is allowed. */
const SEAL_TIMEOUT_MS = 65_000
const BACKUP_TIMEOUT_MS = 300_000
const DROP_TIMEOUT_MS = 5_000
const LOG_LINE_BYTES_MAX = 1024 * 1024
/** Of a stream. A watch has a sign of life each 5 s. */
const SILENCE_MS_MAX = 20_000
/** A longer timer of Node's would end at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

export interface KesClientOptions {
  /**
   * One server or several that have the same keys: `https://host:port` or `host:port`, without a port 443. A list,
   * or a text with commas and ranges, such as `https://kes{1...3}:7373`.
   */
  readonly endpoint: string | readonly string[]
  /** Who the client is: an API key, or a certificate. Without either only calls that need no identity work. */
  readonly apiKey?: string | ApiKey | undefined
  /** A certificate with its key, or the paths of both, which are then read again when the files change. */
  readonly certificate?: ClientCertificate | CertificateFiles | undefined
  /** PEM certificates of the authorities that may sign the server's; they replace those that Node trusts. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  /** A file of such certificates, or a folder of such files, read again when they change. */
  readonly caPath?: string | undefined
  /** Trust the authorities of Node and the system beside `ca` and `caPath`. Default: no. */
  readonly trustsSystemCas?: boolean | undefined
  /** Talk to any server, whoever it is. For development only: the server learns the plaintexts. */
  readonly insecureSkipVerify?: boolean | undefined
  /** Speak only this one. By default HTTP/2, or HTTP/1.1 if the server does not know it. */
  readonly protocol?: HttpProtocol | undefined
  /** For each call, from its start to the end of its reply, repetitions included. Default: 30 s. Streams have limits of their own. */
  readonly timeoutMs?: number | undefined
  /** How often a call that failed on all servers is tried on them again, if that can do no harm. Default: 2. */
  readonly retries?: number | undefined
  /** About how long to wait before that the first time. Default: 250 ms. */
  readonly retryDelayMs?: number | undefined
  /** How long one of several servers may be silent before another one is asked instead. Default: 2 s. */
  readonly attemptTimeoutMs?: number | undefined
  /** Called if changed files can't be used; those that were read before stay in use. */
  readonly onReloadError?: ((error: Error) => void) | undefined
}

/** Whether an endpoint answers. */
export interface EndpointState {
  /** `https://host:port` */
  readonly endpoint: string
  /** Why it does not; absent if it does. */
  readonly problem?: KesClientError
}

export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. The server may act on it nevertheless. */
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}

export interface WatchOptions extends LogOptions {
  /** Until the server has accepted the stream. Default: that of the client. */
  readonly timeoutMs?: number | undefined
}

export interface LogOptions {
  /** Ends the stream, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Until the server has accepted the stream. Default: no limit once it is connected, because a Go KES accepts it with
   * the first event.
   */
  readonly timeoutMs?: number | undefined
  /**
   * How long the server may give no sign of life before the connection counts as dead: it is asked for one over HTTP/2,
   * and a watch has some of its own. A log over HTTP/1.1 has none. Default: 20 s.
   */
  readonly silenceMsMax?: number | undefined
  /** Called once the server has accepted the stream: what happens from now on will be reported. */
  readonly onOpen?: (() => void) | undefined
}

type Decode<Value> = (call: string, reply: TransportReply) => Value

/**
 * Every method throws a {@link KesClientError}: a {@link KesApiError} for what the server refuses, and errors of
 * connection, time and protocol. Plaintexts, messages and contexts are bytes; what goes over the wire is limited
 * to 1 000 000 bytes of JSON, so about 750 000 bytes of plaintext.
 *
 *     await using client = new KesClient({ endpoint: 'https://127.0.0.1:7373', apiKey, ca })
 *     const { plaintext, ciphertext } = await client.generateKey('invoices')
 */
export class KesClient implements AsyncDisposable {
  readonly #transport: Transport
  readonly #timeoutMs: number

  /**
   * Connects at the first call.
   *
   * @throws TypeError if an option is malformed, {@link InvalidApiKeyError} if the API key is.
   */
  constructor(options: KesClientOptions) {
    if (options.apiKey !== undefined && options.certificate !== undefined) {
      throw new TypeError('an API key and a certificate cannot be used at the same time')
    }
    for (const name of AMOUNTS) checkAmount(name, options[name])
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const tls = new ClientTls({
      apiKey: typeof options.apiKey === 'string' ? ApiKey.parse(options.apiKey) : options.apiKey,
      certificate: options.certificate,
      ca: options.ca,
      caPath: options.caPath,
      trustsSystem: options.trustsSystemCas ?? false,
      insecureSkipVerify: options.insecureSkipVerify ?? false,
      onReloadError: options.onReloadError,
    })
    this.#transport = new FailoverTransport(parseEndpoints(options.endpoint), tls, {
      protocol: options.protocol,
      retries: options.retries ?? RETRIES,
      retryDelayMs: options.retryDelayMs ?? RETRY_DELAY_MS,
      attemptTimeoutMs: options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS,
    })
  }

  /**
   * Reads certificates from their files again, at once. That is done anyway, within 10 s of the next call after a
   * change.
   *
   * @throws TypeError if the files can't be used; those that were read before stay in use.
   */
  reload(): void {
    this.#transport.reload()
  }

  /** Whether each endpoint answers, asked at once and without repetition. */
  async endpoints(options: CallOptions = {}): Promise<EndpointState[]> {
    const timeoutMs = options.timeoutMs ?? Math.min(this.#timeoutMs, LOOK_TIMEOUT_MS)
    const request = { method: 'GET', path: '/version', timeoutMs, signal: options.signal } as const
    const answers = await this.#transport.sendToEach(request)
    return answers.map(({ endpoint, reply }) =>
      reply instanceof KesClientError && !isAnswer(reply) ? { endpoint, problem: reply } : { endpoint },
    )
  }

  // --- The server --------------------------------------------------------------------------------------------

  async version(options?: CallOptions): Promise<ServerVersion> {
    return await this.#get('/version', decodeVersion, options)
  }

  /** Resolves if the server can use its keys. @throws {@link StoreUnreachableError}, {@link StoreUnavailableError} */
  async ready(options?: CallOptions): Promise<void> {
    await this.#send({ method: 'GET', path: '/v1/ready', isRepeatable: true }, options)
  }

  async status(options?: CallOptions): Promise<ServerStatus> {
    return await this.#get('/v1/status', decodeStatus, options)
  }

  async metrics(options?: CallOptions): Promise<KesMetrics> {
    return await this.#get('/v1/metrics', (_, { body }) => decodeMetrics(body.toString()), options)
  }

  /** The calls that the server offers, in no particular order. */
  async apis(options?: CallOptions): Promise<Api[]> {
    return await this.#get('/v1/api', decodeApis, options)
  }

  // --- Keys --------------------------------------------------------------------------------------------------

  /**
   * Makes a random key.
   *
   * @param options - `reuse` takes the name of an erased key again, which the admin alone may do.
   * @throws {@link KeyExistsError}, or its kind {@link KeyNameReservedError}
   */
  async createKey(name: string, options: CallOptions & { readonly reuse?: boolean } = {}): Promise<void> {
    const query = options.reuse ? '?reuse=true' : ''
    await this.#send({ method: 'PUT', path: keyPath('create', name) + query }, options)
  }

  /**
   * @param key - 32 bytes.
   * @param options - `cipher` is AES256 by default.
   * @throws {@link KeyExistsError}, {@link InvalidKeySizeError}
   */
  async importKey(
    name: string,
    key: Uint8Array,
    options: CallOptions & { readonly cipher?: KeyAlgorithm } = {},
  ): Promise<void> {
    const body = JSON.stringify({ key: encodeBase64(key), cipher: options.cipher ?? 'AES256' })
    await this.#send({ method: 'PUT', path: keyPath('import', name), body }, options)
  }

  /** @throws {@link KeyNotFoundError} */
  async describeKey(name: string, options?: CallOptions): Promise<KeyInfo> {
    return await this.#get(keyPath('describe', name), decodeKeyInfo, options)
  }

  /**
   * Erases the key, and with it all that was encrypted under it: at once, or after a waiting period, during which
   * {@link cancelKeyDeletion} takes it back.
   *
   * @param options - `after` is the waiting period: `7d`, `36h`. Without it, the least that the server's configuration
   *   allows; a Go KES knows none and erases at once. With it the key is described first, because a Go KES would erase it
   *   all the same.
   * @returns undefined if the key is erased; else the key as it waits, `deletionAt` included.
   * @throws {@link KeyNotFoundError}, {@link WaitingPeriodTooShortError}, {@link WrongStateError} if it waits already,
   *   {@link KesProtocolError} if the server knows no waiting period
   * @throws {@link ErasePendingError} if the key is gone, but its sealed record not yet from the server's disk.
   */
  async deleteKey(
    name: string,
    options: CallOptions & { readonly after?: string | undefined } = {},
  ): Promise<KeyInfo | undefined> {
    const { after } = options
    if (after !== undefined && (await this.describeKey(name, options)).state === undefined) {
      throw new KesProtocolError('the server knows no waiting period: it would erase the key at once')
    }
    const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`
    const path = keyPath('delete', name) + query
    return decodeDeletion(path, await this.#send({ method: 'DELETE', path }, options))
  }

  /**
   * Takes back a deletion that {@link deleteKey} has scheduled. The key is disabled then; {@link enableKey} makes it
   * usable.
   *
   * @throws {@link KeyNotFoundError}, {@link WrongStateError} if no deletion is scheduled
   */
  async cancelKeyDeletion(name: string, options?: CallOptions): Promise<void> {
    await this.#send({ method: 'PUT', path: keyPath('cancel-deletion', name) }, options)
  }

  /**
   * As {@link deleteKey}, with a signed receipt. Where the server has a waiting period it is refused; when that is over,
   * this call fetches the receipt, once.
   *
   * @throws on a Go KES {@link KesProtocolError}, the key being erased
   */
  async deleteKeyWithReceipt(name: string, options?: CallOptions): Promise<ErasureReceipt> {
    const path = keyPath('delete', name)
    return decodeReceipt(path, await this.#send({ method: 'DELETE', path: `${path}?receipt=true` }, options))
  }

  /**
   * What the server's journal says of all keys that have had this name, the erased ones included, in order.
   *
   * @throws {@link KeyNotFoundError} if there has never been one.
   */
  keyHistory(name: string, options?: CallOptions): AsyncIterable<JournalEntry> {
    return this.#entries(keyPath('history', name), decodeKeyHistory, options)
  }

  /**
   * The receipt of the last erasure of a key of this name: also if nobody asked for it then, or a waiting period ended.
   *
   * @throws {@link KeyNotFoundError} if none was erased, {@link ErasePendingError} while it is not off the disk
   */
  async erasureReceipt(name: string, options?: CallOptions): Promise<ErasureReceipt> {
    return await this.#get(`${keyPath('history', name)}?receipt=true`, decodeReceipt, options)
  }

  /** Lets a disabled key be used again; an enabled one stays as it is. @throws {@link KeyNotFoundError} */
  async enableKey(name: string, options?: CallOptions): Promise<void> {
    await this.#send({ method: 'PUT', path: keyPath('enable', name) }, options)
  }

  /**
   * Locks the key: once this has returned, no use of it begins or is under way, until it is enabled again.
   *
   * @throws {@link KeyNotFoundError}
   */
  async disableKey(name: string, options?: CallOptions): Promise<void> {
    await this.#send({ method: 'PUT', path: keyPath('disable', name), isRepeatable: true }, options)
  }

  /** As {@link enableKey}, for all keys whose names match. @param pattern - a prefix and `*`. */
  async enableKeys(pattern: string, options?: CallOptions): Promise<KeysChanged> {
    const path = `/v1/key/enable/${checkPattern(pattern)}`
    return decodeKeysChanged(path, await this.#send({ method: 'PUT', path }, options))
  }

  /** As {@link disableKey}, for all keys whose names match. @param pattern - a prefix and `*`. */
  async disableKeys(pattern: string, options?: CallOptions): Promise<KeysChanged> {
    const path = `/v1/key/disable/${checkPattern(pattern)}`
    return decodeKeysChanged(path, await this.#send({ method: 'PUT', path }, options))
  }

  /**
   * The names of all keys that start with the prefix, in ascending order, asked for page by page. A Go KES loses
   * names beyond its first page of 1024, and finds none for a prefix that ends in `-`.
   */
  listKeys(prefix = '', options?: CallOptions): AsyncIterable<string> {
    return this.#list('/v1/key/list/', prefix, '', decodeNames('names'), options)
  }

  /** As {@link listKeys}, with what {@link describeKey} tells of each. @throws on a Go KES {@link KesProtocolError} */
  listKeyDetails(prefix = '', options?: CallOptions): AsyncIterable<KeyInfo | DamagedKeyInfo> {
    return this.#list('/v1/key/list/', prefix, '?details=true', decodeKeyDetails, options)
  }

  /**
   * All keys that start with the prefix, as they are, and then every change of one, as it happens, until the loop is left,
   * or `signal` or close() ends it. One connection: when it breaks, begin anew.
   *
   *     for await (const event of client.watchKeys('invoices-')) {
   *       if (event.event !== 'snapshot-end') states.set(event.name, event.state)
   *     }
   *
   * Until the event `snapshot-end` a key may be named more than once, the last time as it is; from then on each change
   * comes once, in order.
   *
   * @throws {@link KesConnectionError}, {@link KesTimeoutError} if the server falls silent, and on a Go KES
   *   {@link NotFoundError}
   */
  watchKeys(prefix = '', options?: WatchOptions): AsyncIterable<KeyEvent> {
    return this.#watch(`/v1/key/watch/${encodeURIComponent(listArgument(prefix))}`, options)
  }

  /**
   * A new data key.
   *
   * @param context - is authenticated, not stored: {@link decrypt} must present the same bytes.
   * @throws {@link KeyNotFoundError}, {@link KeyDisabledError}
   */
  async generateKey(name: string, context?: Uint8Array, options?: CallOptions): Promise<DataKey> {
    return await this.#use(keyPath('generate', name), { context }, decodeDataKey, options)
  }

  /** @throws {@link KeyNotFoundError}, {@link KeyDisabledError}, {@link InvalidBodyError} if it is too large. */
  async encrypt(
    name: string,
    plaintext: Uint8Array,
    context?: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    return await this.#use(
      keyPath('encrypt', name),
      { plaintext, context },
      decodeBytes('ciphertext'),
      options,
    )
  }

  /** @throws {@link NotAuthenticError}, {@link KeyNotFoundError}, {@link KeyDisabledError} */
  async decrypt(
    name: string,
    ciphertext: Uint8Array,
    context?: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    return await this.#use(
      keyPath('decrypt', name),
      { ciphertext, context },
      decodeBytes('plaintext'),
      options,
    )
  }

  /** HMAC-SHA-256, 32 bytes. @throws {@link NoHmacError}, {@link KeyNotFoundError}, {@link KeyDisabledError} */
  async hmac(name: string, message: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return await this.#use(keyPath('hmac', name), { message }, decodeBytes('hmac'), options)
  }

  // --- Policies and identities -------------------------------------------------------------------------------

  /** @throws {@link PolicyNotFoundError} */
  async describePolicy(name: string, options?: CallOptions): Promise<PolicyInfo> {
    return await this.#get(`/v1/policy/describe/${checkName('policy name', name)}`, decodePolicyInfo, options)
  }

  /** @throws {@link PolicyNotFoundError} */
  async readPolicy(name: string, options?: CallOptions): Promise<Policy> {
    return await this.#get(`/v1/policy/read/${checkName('policy name', name)}`, decodePolicy, options)
  }

  listPolicies(prefix = '', options?: CallOptions): AsyncIterable<string> {
    return this.#list('/v1/policy/list/', prefix, '', decodeNames('names'), options)
  }

  /** @throws {@link IdentityNotFoundError} */
  async describeIdentity(identity: string, options?: CallOptions): Promise<IdentityInfo> {
    return await this.#get(
      `/v1/identity/describe/${checkName('identity', identity)}`,
      decodeIdentityInfo,
      options,
    )
  }

  /** The admin, and every identity that a policy names. */
  listIdentities(prefix = '', options?: CallOptions): AsyncIterable<string> {
    return this.#list('/v1/identity/list/', prefix, '', decodeNames('identities'), options)
  }

  /** Who the caller is. @throws {@link IdentityNotFoundError} on a Go KES, for everybody but the admin. */
  async describeSelf(options?: CallOptions): Promise<SelfInfo> {
    return await this.#get('/v1/identity/self/describe', decodeSelfInfo, options)
  }

  // --- The journal -------------------------------------------------------------------------------------------

  async journalHead(options?: CallOptions): Promise<JournalHead> {
    return await this.#get('/v1/journal/head', decodeJournalHead, options)
  }

  /** All entries, from the first on, as the server has them, intact or not. */
  journalEntries(options?: CallOptions): AsyncIterable<SignedJournalEntry> {
    return this.#entries('/v1/journal/entries', decodeJournalEntries, options)
  }

  // --- The seal: for the admin alone -------------------------------------------------------------------------

  async describeSeal(options?: CallOptions): Promise<SealInfo> {
    return await this.#get('/v1/seal/describe', decodeSealInfo, options)
  }

  /**
   * Lets another secret open the store.
   *
   * @param unlock - opens it already.
   * @throws {@link KesApiError} with the code `WrongSecret`, `InvalidSecret` or `SealConflict`.
   */
  async addSealSlot(
    unlock: SealSecret,
    secret: SealSecret,
    options: CallOptions & { readonly label?: string } = {},
  ): Promise<SlotChange> {
    const path = '/v1/seal/add-slot'
    const fields = {
      ...encodeSecret('unlock_', unlock),
      ...encodeSecret('', secret),
      label: options.label ?? '',
    }
    const body = JSON.stringify(fields)
    return decodeSlotChange(path, await this.#send({ method: 'PUT', path, body }, sealCall(options)))
  }

  /** @throws {@link KesApiError} with the code `SlotNotFound` or `SealConflict`. */
  async removeSealSlot(id: number, options?: CallOptions): Promise<SlotChange> {
    const path = `/v1/seal/remove-slot/${id}`
    return decodeSlotChange(path, await this.#send({ method: 'PUT', path }, sealCall(options)))
  }

  /** @throws {@link KesApiError} with the code `WrongSecret`, `InvalidSecret` or `SealConflict`. */
  async changeSealPassphrase(
    passphrase: Uint8Array,
    next: Uint8Array,
    options?: CallOptions,
  ): Promise<SlotChange> {
    const path = '/v1/seal/change-passphrase'
    const body = encodeFields({ passphrase, new_passphrase: next })
    return decodeSlotChange(path, await this.#send({ method: 'PUT', path, body }, sealCall(options)))
  }

  /**
   * Puts a new root key in place: for all that is sealed from now on when this has returned, and soon for the rest.
   * {@link describeSeal} says how it stands.
   *
   * @throws {@link KesApiError} with the code `WrongSecret`, `InvalidSecret`, `SlotNotFound` or `SealConflict`.
   */
  async rotateRootKey(slots: RotationSlots = {}, options?: CallOptions): Promise<void> {
    const body = encodeRotationSlots(slots)
    await this.#send({ method: 'PUT', path: '/v1/seal/rotate-root', body }, sealCall(options))
  }

  // --- Backups: for the admin alone --------------------------------------------------------------------------

  /** Makes the server read all rows of its store as of now, and keep them for {@link readBackup}. */
  async createBackup(options: CallOptions = {}): Promise<BackupInfo> {
    const path = '/v1/backup/create'
    const call = { ...options, timeoutMs: options.timeoutMs ?? BACKUP_TIMEOUT_MS }
    return decodeBackupInfo(path, await this.#send({ method: 'PUT', path }, call))
  }

  /**
   * The content of a backup in pieces: rows whose keys are sealed, not encrypted besides. To be read at once: a server
   * drops what nobody reads for a minute, and when it was read, or the loop is left.
   */
  async *readBackup({ id, bytes }: BackupInfo, options?: CallOptions): AsyncGenerator<Uint8Array> {
    const path = `/v1/backup/read/${id}`
    let offset = 0
    try {
      while (offset < bytes) {
        const request = { method: 'GET', path: `${path}?offset=${offset}`, isRepeatable: true } as const
        const { body } = await this.#send(request, options)
        if (body.length === 0)
          throw new KesProtocolError(`the server's reply to ${path} ends before the backup does`)
        yield body
        offset += body.length
      }
    } finally {
      // What has gone wrong is what counts then: the server drops it by itself, later.
      if (offset < bytes) await Promise.allSettled([this.dropBackup(id, { timeoutMs: DROP_TIMEOUT_MS })])
    }
    await this.dropBackup(id, options)
  }

  /** Gives the server's disk its space back before a backup was read to its end. */
  async dropBackup(id: string, options?: CallOptions): Promise<void> {
    await this.#send({ method: 'PUT', path: `/v1/backup/drop/${id}`, isRepeatable: true }, options)
  }

  // --- Logs --------------------------------------------------------------------------------------------------

  /** An event for each request that the server answers, until the loop is left, or `signal` or close() ends it. */
  auditLog(options?: LogOptions): AsyncIterable<AuditEvent> {
    return this.#log('/v1/log/audit', decodeAuditEvent, options)
  }

  /** As {@link auditLog}, for the server's error log. */
  errorLog(options?: LogOptions): AsyncIterable<ErrorEvent> {
    return this.#log('/v1/log/error', decodeErrorEvent, options)
  }

  /** Closes the connections. Calls and streams that are under way fail with {@link KesConnectionError}. */
  async close(): Promise<void> {
    this.#transport.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #get<Value>(path: string, decode: Decode<Value>, options?: CallOptions): Promise<Value> {
    return decode(path, await this.#send({ method: 'GET', path, isRepeatable: true }, options))
  }

  /** A use of a key, which changes nothing: a data key that got lost on its way is known to nobody. */
  async #use<Value>(
    path: string,
    fields: Readonly<Record<string, Uint8Array | undefined>>,
    decode: Decode<Value>,
    options?: CallOptions,
  ): Promise<Value> {
    const body = encodeFields(fields)
    return decode(path, await this.#send({ method: 'PUT', path, body, isRepeatable: true }, options))
  }

  #send(request: TransportRequest, { signal, timeoutMs }: CallOptions = {}): Promise<TransportReply> {
    return this.#transport.send({ ...request, signal, timeoutMs: timeoutMs ?? this.#timeoutMs })
  }

  async *#list<Item>(
    path: string,
    prefix: string,
    query: string,
    decode: Decode<Page<Item>>,
    options?: CallOptions,
  ): AsyncGenerator<Item> {
    const asked = new Set<string>()
    for (let argument: string | undefined = listArgument(prefix); argument !== undefined; ) {
      if (asked.has(argument))
        throw new KesProtocolError(`the server's reply to ${path} continues where it began`)
      asked.add(argument)
      const page: Page<Item> = await this.#get(path + encodeURIComponent(argument) + query, decode, options)
      yield* page.items
      argument = page.continueAt
    }
  }

  async *#entries<Item>(
    path: string,
    decode: Decode<JournalPage<Item>>,
    options?: CallOptions,
  ): AsyncGenerator<Item> {
    for (let after = 0; ; ) {
      const page: JournalPage<Item> = await this.#get(`${path}?after=${after}`, decode, options)
      yield* page.items
      if (page.continueAt === undefined) return
      if (page.continueAt <= after)
        throw new KesProtocolError(`the server's reply to ${path} continues where it began`)
      after = page.continueAt
    }
  }

  async *#watch(path: string, options: WatchOptions = {}): AsyncGenerator<KeyEvent> {
    const { signal, timeoutMs = this.#timeoutMs } = options
    const silenceMsMax = silenceOf(options)
    const silence = new AbortController()
    const { endpoint, chunks } = await this.#open(path, {
      ...options,
      timeoutMs,
      signal: AbortSignal.any([silence.signal, ...(signal === undefined ? [] : [signal])]),
    })
    // It runs only while a line is waited for, not while the caller is busy with the last one.
    const listen = () =>
      setTimeout(() => silence.abort(new KesTimeoutError(endpoint, silenceMsMax)), silenceMsMax)
    let timer = listen()
    try {
      for await (const line of readLines(chunks, LOG_LINE_BYTES_MAX, { isRestALine: false })) {
        clearTimeout(timer)
        const event = decodeKeyEvent(path, line)
        if (event !== undefined) yield event
        timer = listen()
      }
      throw new KesConnectionError(endpoint, 'the server ended the stream')
    } finally {
      clearTimeout(timer)
    }
  }

  async *#log<Event>(
    path: string,
    decode: (call: string, line: string) => Event,
    options: LogOptions = {},
  ): AsyncGenerator<Event> {
    const { chunks } = await this.#open(path, options)
    for await (const line of readLines(chunks, LOG_LINE_BYTES_MAX)) yield decode(path, line)
  }

  async #open(path: string, options: LogOptions): Promise<TransportStream> {
    const { signal, timeoutMs, onOpen } = options
    const stream = await this.#transport.stream({
      method: 'GET',
      path,
      signal,
      timeoutMs,
      silenceMsMax: silenceOf(options),
      isRepeatable: true,
    })
    onOpen?.()
    return stream
  }
}

function silenceOf({ silenceMsMax = SILENCE_MS_MAX }: LogOptions): number {
  checkAmount('silenceMsMax', silenceMsMax)
  return Math.min(silenceMsMax, TIMER_MAX_MS)
}

function checkAmount(name: string, value: number | undefined): void {
  if (value === undefined || value >= 0) return
  throw new TypeError(`\`${name}\` must be a number of 0 or more, not ${value}`)
}

/** A list of texts, or one with commas and ranges; each server once. */
function parseEndpoints(endpoint: KesClientOptions['endpoint']): Endpoint[] {
  const texts = [endpoint].flat().flatMap(expandEndpoints)
  const endpoints = new Map(texts.map(parseEndpoint).map((each) => [each.origin, each]))
  if (endpoints.size === 0) throw new TypeError('there is no endpoint')
  return [...endpoints.values()]
}

/** A server that refuses to tell its version is there all the same. */
function isAnswer(error: KesClientError): boolean {
  return error instanceof KesApiError && error.status < 500
}

function sealCall({ signal, timeoutMs = SEAL_TIMEOUT_MS }: CallOptions = {}): CallOptions {
  return { signal, timeoutMs }
}

function keyPath(
  call:
    | 'create'
    | 'import'
    | 'describe'
    | 'delete'
    | 'cancel-deletion'
    | 'enable'
    | 'disable'
    | 'history'
    | 'generate'
    | 'encrypt'
    | 'decrypt'
    | 'hmac',
  name: string,
): string {
  return `/v1/key/${call}/${checkName('key name', name)}`
}

/** A field without a value is left out, which the server takes for no bytes at all. */
function encodeFields(fields: Readonly<Record<string, Uint8Array | undefined>>): string {
  const texts: Record<string, string> = {}
  for (const [name, bytes] of Object.entries(fields))
    if (bytes !== undefined) texts[name] = encodeBase64(bytes)
  return JSON.stringify(texts)
}
