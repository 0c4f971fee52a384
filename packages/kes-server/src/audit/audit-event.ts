/** What the audit log says of one request. */

export interface AuditEvent {
  readonly method: string
  /** Decoded, as the policy saw it. */
  readonly path: string
  readonly ip: string
  readonly identity: string | undefined
  /** The TLS proxy that the request came through; the stream has no place for it either. */
  readonly proxy?: string
  readonly status: number
  readonly durationMs: number
  /** What happened, for a reader; the stream has no place for it. */
  readonly message: string
}

/** As Go prints a duration: `627.33µs`, `1.035537ms`, `2.5s`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${trim(ms * 1e3, 3)}µs`
  if (ms < 1000) return `${trim(ms, 6)}ms`
  return `${trim(ms / 1e3, 9)}s`
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)))
}
