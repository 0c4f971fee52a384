/** Request targets: from the bytes on the wire to the path that routes and policies see. */
import { isUtf8 } from 'node:buffer'

/**
 * The target as the router can read it: a path, whose escapes are UTF-8 or malformed. Any server must also
 * take targets with scheme and host (RFC 9112, section 3.2.2), and KES replaces bytes that are not UTF-8.
 */
export function normalizeTarget(target: string): string {
  const path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*(?=\/)/i, '')
  if (!path.includes('%')) return path
  return path.replace(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) => {
    const bytes = Buffer.from(escapes.replaceAll('%', ''), 'hex')
    return isUtf8(bytes) ? escapes : encodeURIComponent(bytes.toString('utf8'))
  })
}

/** The path of a request target, without its query; still percent-encoded. */
export function rawPathOf(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

/** The query of a request target, without its `?`; empty if there is none. */
export function queryOf(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? '' : target.slice(query + 1)
}

/**
 * Decodes every percent-escape, `%2F` included, as KES does before it matches policies. Bytes that are not
 * UTF-8 become U+FFFD, which no name and no sensible pattern holds.
 *
 * @returns undefined if an escape is malformed.
 */
export function decodePath(rawPath: string): string | undefined {
  if (!rawPath.includes('%')) return rawPath
  if (/%(?![0-9A-Fa-f]{2})/.test(rawPath)) return undefined
  const bytes = rawPath.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

const UNCLEAN = /\/\/|\/\.{1,2}(?:\/|$)/

/**
 * The path without empty, `.` and `..` segments, or undefined if it has none of them. A trailing slash stays, and none
 * is added.
 */
export function cleanPath(rawPath: string): string | undefined {
  if (!UNCLEAN.test(rawPath)) return undefined
  const segments: string[] = []
  const parts = rawPath.split('/')
  for (const part of parts) {
    if (part === '..') segments.pop()
    else if (part !== '' && part !== '.') segments.push(part)
  }
  const endsInSlash = rawPath.endsWith('/') && segments.length > 0
  return `/${segments.join('/')}${endsInSlash ? '/' : ''}`
}
