/** What the console asks of the key server that runs it. Both live in one process. */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Somebody who has logged in. */
export interface Caller {
  /** 64 hex digits. */
  readonly identity: string
  /** Of the browser. */
  readonly ip: string
}

export interface Membership {
  readonly isAdmin: boolean
  /** Name of its policy. */
  readonly policy: string | undefined
}

export interface KeyServerInfo {
  readonly version: string
  /** `https://127.0.0.1:7373` */
  readonly endpoint: string
  readonly workers: number
  /** As the server's banner names it. */
  readonly store: string
  /** Of the key server's certificate; ISO 8601. */
  readonly certificate_expires: string | null
}

/** A request that the console has answered itself. */
export interface AuditedRequest {
  readonly method: string
  /** Decoded, without query. */
  readonly path: string
  readonly ip: string
  /** Undefined where nobody has proved one. */
  readonly identity: string | undefined
  readonly status: number
  readonly durationMs: number
  readonly message: string
}

export interface KeyServer {
  /** Undefined for an identity that is neither the admin nor in a policy. */
  membershipOf(identity: string): Membership | undefined
  info(): KeyServerInfo
  /** Answers a request for `/v1/…` as it would over mutual TLS, but for APIs that a console has not. */
  handle(caller: Caller, request: IncomingMessage, response: ServerResponse): void
  /**
   * What decides whether somebody may call an API.
   *
   * @returns undefined if the caller may not read that identity and its policy.
   */
  explain(
    caller: Caller,
    question: { readonly identity: string; readonly method: string; readonly path: string },
  ): object | undefined
  /** Whether events can be audited now. If not, nothing may be done. */
  readonly isAuditing: boolean
  /** Fulfilled when the event is where it must be; only then may the reply go out. Rejected if it can't be there. */
  audit(event: AuditedRequest): Promise<void>
  /** A defect, for the operator. */
  reportDefect(error: unknown, request: Pick<AuditedRequest, 'method' | 'path' | 'ip' | 'identity'>): void
}
