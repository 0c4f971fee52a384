/**
 * What a case of the conformance table is: requests, and the reply that each of them must get, to the byte.
 *
 * A reply is written with placeholders for what differs from run to run: `<time>`, `<text>`, `<count>`, `<admin>`,
 * `<app>`, `<b64 N>` for N bytes in base64, and names that a request fills in, such as `<method>`.
 */
import type { RequestOptions } from '../sandbox/server.ts'

/** Who asks: see `server-under-test.ts`. */
export type Caller =
  | 'admin'
  | 'app'
  | 'nobody'
  | 'none'
  | 'renewed'
  | 'ca'
  | 'two leaves'
  | 'leaf and CA'
  | 'CA, then leaf'
  | `policy ${string}`

export interface Request {
  readonly method: string
  readonly path: string
  /** Default: the admin. */
  readonly as?: Caller
  readonly body?: RequestOptions['body']
  readonly headers?: Readonly<Record<string, string>>
  /** What stands for the placeholders of the reply that have these names. */
  readonly fill?: Readonly<Record<string, string>>
}

export interface Expected {
  readonly status: number
  /** Of the API, without the length of the body, which is checked for every reply. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** How the table shows a body that is long. */
  readonly shown?: string
}

export interface Case {
  /** Heading of the table. */
  readonly section: string
  readonly title: string
  readonly requests: readonly Request[]
  /** How the table shows the requests, if there are several. */
  readonly shown?: string
  readonly expected: Expected
  /** Sent before, to bring the server into the state that the case is about; each must be answered 200. */
  readonly before?: readonly Request[]
  /** Whether the reply hangs on a disk that answers in time: on a busy machine it is asked again. */
  readonly asksDisk?: boolean
  /** The row of docs/differences.md that has the reason, if KES replies otherwise. */
  readonly differs?: string
}

export const NOT_ALLOWED_MESSAGE = 'not authorized: insufficient permissions'
export const NO_KEY = error(404, 'key does not exist', 'KeyNotFound')
export const NOT_ALLOWED = error(403, NOT_ALLOWED_MESSAGE, 'NotAllowed')
export const NO_CERTIFICATE = error(400, 'tls: client certificate is required', 'CertificateRequired')
export const NOT_AUTHENTIC = error(400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
export const EMPTY: Expected = { status: 200, headers: {}, body: '' }
export const NOT_FOUND: Expected = {
  status: 404,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
  body: '404 page not found\n',
}

export function json(body: string, shown?: string): Expected {
  const headers = { 'content-type': 'application/json' }
  return { status: 200, headers, body: `${body}\n`, ...(shown === undefined ? {} : { shown }) }
}

/** KES's bytes, and the code of ours before the brace. */
export function error(status: number, message: string, code: string): Expected {
  const headers = { 'content-type': 'application/json' }
  return { status, headers, body: `{"message":${JSON.stringify(message)},"code":"${code}"\n}` }
}

export function badName(kind: 'key name' | 'policy name' | 'identity', name = '<name>'): Expected {
  return error(400, `${kind} '${name}' is empty, too long or contains invalid characters`, 'InvalidName')
}

export function badPattern(pattern = '<name>'): Expected {
  return error(400, `listing pattern '${pattern}' is empty, too long or is invalid`, 'InvalidPattern')
}

export function badBody(api: string): Expected {
  const message = api === 'import' ? 'invalid import key request body' : 'invalid request body'
  return error(400, message, 'InvalidBody')
}

export function redirect(location: string, hasBody = true): Expected {
  const body = hasBody ? `<a href="${location.replaceAll('&', '&amp;')}">Temporary Redirect</a>.\n\n` : ''
  const type = hasBody ? { 'content-type': 'text/html; charset=utf-8' } : {}
  return { status: 307, headers: { location, ...type }, body }
}

/** Every path has one method; `POST` is `PUT`. */
export function wrongMethod(expected: string, hasBody = true): Expected {
  const { headers, body } = error(
    405,
    `received method '<method>' expected '${expected}'`,
    'MethodNotAllowed',
  )
  const allow = expected === 'PUT' ? 'PUT, POST' : expected
  return { status: 405, headers: { ...headers, accept: expected, allow }, body: hasBody ? body : '' }
}

export function base64(text: string | Uint8Array): string {
  return Buffer.from(text).toString('base64')
}
