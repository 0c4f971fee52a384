/** A KMS whose calls are counted, as MinIO's KMS metrics count them. */
import type { Api, ServerVersion } from '@latchkey/kms-client'
import {
  type DecryptRequest,
  type GenerateRequest,
  type Kms,
  type KmsDataKey,
  KmsError,
  type KmsKeyState,
  type KmsKeyStatus,
  type KmsStatus,
  type MacRequest,
  type SecretKey,
} from '@latchkey/kms-client/kms'

type CallOptions = Parameters<Kms['start']>[0]

/** Upper bounds of MinIO's histogram. */
const BOUNDS_MS = [10, 50, 100, 250, 500, 1000, 1500, 3000, 5000, 10_000]

export class MeteredKms implements Kms {
  readonly #kms: Kms
  readonly #counts = { success: 0, error: 0, failure: 0 }
  /** By the index of the bound; cumulative. */
  readonly #times = BOUNDS_MS.map(() => 0)

  constructor(kms: Kms) {
    this.#kms = kms
  }

  get type(): Kms['type'] {
    return this.#kms.type
  }

  get defaultKey(): string {
    return this.#kms.defaultKey
  }

  start(options?: CallOptions): Promise<void> {
    return this.#count(() => this.#kms.start(options))
  }

  generateKey(request?: GenerateRequest): Promise<KmsDataKey> {
    return this.#count(() => this.#kms.generateKey(request))
  }

  decrypt(request: DecryptRequest): Promise<SecretKey> {
    return this.#count(() => this.#kms.decrypt(request))
  }

  mac(request: MacRequest): Promise<Uint8Array> {
    return this.#count(() => this.#kms.mac(request))
  }

  createKey(name: string, options?: CallOptions): Promise<void> {
    return this.#count(() => this.#kms.createKey(name, options))
  }

  listKeys(prefix?: string, options?: CallOptions): AsyncIterable<string> {
    return this.#kms.listKeys(prefix, options)
  }

  watchLocks(options?: Parameters<Kms['watchLocks']>[0]): AsyncIterable<string> {
    return this.#kms.watchLocks(options)
  }

  keyState(name?: string, options?: CallOptions): Promise<KmsKeyState> {
    return this.#count(() => this.#kms.keyState(name, options))
  }

  checkKey(name?: string, options?: CallOptions): Promise<KmsKeyStatus> {
    return this.#count(() => this.#kms.checkKey(name, options))
  }

  status(options?: CallOptions): Promise<KmsStatus> {
    return this.#kms.status(options)
  }

  version(options?: CallOptions): Promise<ServerVersion> {
    return this.#count(() => this.#kms.version(options))
  }

  apis(options?: CallOptions): Promise<Api[]> {
    return this.#count(() => this.#kms.apis(options))
  }

  close(): Promise<void> {
    return this.#kms.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** As `GET /minio/kms/v1/metrics` answers them: times in nanoseconds. */
  metrics() {
    const { success, error, failure } = this.#counts
    const times = BOUNDS_MS.map((ms, index) => [String(ms * 1_000_000), this.#times[index]])
    return {
      kms_req_success: success,
      kms_req_error: error,
      kms_req_failure: failure,
      kms_resp_time: Object.fromEntries(times),
    }
  }

  /** What the key server refuses is an error; where it can't be asked, a failure. */
  async #count<Result>(call: () => Promise<Result>): Promise<Result> {
    const startedMs = performance.now()
    try {
      const result = await call()
      this.#counts.success += 1
      return result
    } catch (thrown) {
      const isFailure = !(thrown instanceof KmsError) || ['unreachable', 'failed'].includes(thrown.reason)
      this.#counts[isFailure ? 'failure' : 'error'] += 1
      throw thrown
    } finally {
      const elapsedMs = performance.now() - startedMs
      for (const [index, boundMs] of BOUNDS_MS.entries()) {
        if (elapsedMs <= boundMs) this.#times[index] = (this.#times[index] ?? 0) + 1
      }
    }
  }
}
