/** What a load process is told and what it answers. */
import type { ClientFiles, HttpProtocol, LoadTarget } from './target.ts'

/** `connect` is a new connection for each request, with a full handshake; it asks `/v1/ready`. */
export type Operation = 'generate' | 'decrypt' | 'version' | 'connect'

export const OPERATIONS: readonly Operation[] = ['generate', 'decrypt', 'version', 'connect']

/** One operation again and again. */
export interface UniformPlan {
  readonly kind: 'uniform'
  readonly target: LoadTarget
  readonly protocol: HttpProtocol
  readonly operation: Operation
  readonly keyName: string
  readonly requests: number
  /** Requests before those that count. */
  readonly warmUp: number
  /** Requests at a time. */
  readonly concurrency: number
  /** Of HTTP/2. Over HTTP/1.1 each request at a time needs one of its own. */
  readonly connections: number
}

/** Everything that clients do, good and bad, for a time. */
export interface MixedPlan {
  readonly kind: 'mixed'
  readonly target: LoadTarget
  readonly stranger: ClientFiles
  /** Clients at a time; half of them speak HTTP/2. */
  readonly workers: number
  readonly seed: number
}

export type LoadPlan = UniformPlan | MixedPlan

/** Begins; a mixed load ends after so many milliseconds, a uniform one after its requests. */
export interface RunOrder {
  readonly durationMs: number
}

export interface UniformResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failures: number
  /** What went wrong first. */
  readonly firstFailure?: string
  /** Share of the time that the load process computed; near 1 it is what limits the requests per second. */
  readonly loadBusy: number
}

export interface MixedResult {
  /** How often each kind of thing was done. */
  readonly counts: Readonly<Record<string, number>>
  readonly unexpected: number
  /** The first few, in words. */
  readonly examples: readonly string[]
}

export type LoadReport =
  | { readonly type: 'prepared' }
  | { readonly type: 'done'; readonly result: UniformResult | MixedResult }
  | { readonly type: 'failed'; readonly message: string }
