/** What keeps other sites out: the browser's rules for the page, and a look at where each request comes from. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { refusal } from './errors.ts'

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "font-src 'none'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const

export function setSecurityHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
}

/** Names by which a browser on this machine may reach a listener on a loopback address. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

/**
 * A name of an attacker's that leads here (DNS rebinding) makes his page one of "our" origin to the browser, but shows
 * in `Host`.
 *
 * @returns whether the request came to the origin; false if it should be sent there.
 * @throws ConsoleError 421
 */
export function checkHost({ headers, method }: IncomingMessage, origin: URL): boolean {
  const { host } = headers
  if (host?.toLowerCase() === origin.host) return true
  const own = LOOPBACK_NAMES.map((name) => (origin.port === '' ? name : `${name}:${origin.port}`))
  const isLoopback = LOOPBACK_NAMES.includes(origin.hostname) && own.includes(host?.toLowerCase() ?? '')
  if (isLoopback && (method === 'GET' || method === 'HEAD')) return false
  throw refusal('WrongHost')
}

/**
 * Browsers say from which site a request comes. Programs that are no browsers may say nothing.
 *
 * @throws ConsoleError 403
 */
export function checkOrigin({ headers }: IncomingMessage, origin: URL): void {
  const site = headers['sec-fetch-site']
  const isForeign = headers.origin !== undefined && headers.origin !== origin.origin
  if (isForeign || (site !== undefined && site !== 'same-origin')) throw refusal('WrongOrigin')
}
