/** Compares the reply to a request with the one that its case expects. */

import type { Reply } from '../sandbox/server.ts'
import { apiHeadersOf, textOf } from '../wire/replies.ts'
import type { Expected, Request } from './case.ts'

/** Placeholders that stand for any text of a form; `<b64 N>` is the other one. */
const FORMS: Readonly<Record<string, string>> = {
  time: '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d{0,8}[1-9])?Z',
  word: '[a-z0-9]+',
  count: '\\d+',
  text: '[^\\n]*',
  any: '[^]*',
}

/** What is wrong with the reply; `undefined` if it is what the case expects. */
export function whatIsWrong(
  reply: Reply,
  { status, headers, body }: Expected,
  { method, path, fill = {} }: Request,
): string | undefined {
  const { 'content-length': length, ...others } = apiHeadersOf(reply)
  const text = textOf(reply)
  const asked = `${method} ${path}`
  if (reply.status !== status) return `${asked}: ${reply.status} instead of ${status}: ${text}`
  if (JSON.stringify(sorted(others)) !== JSON.stringify(sorted(filled(headers, fill)))) {
    return `${asked}: headers ${JSON.stringify(others)} instead of ${JSON.stringify(headers)}`
  }
  if (method !== 'HEAD' && length !== String(reply.rawBody.length)) {
    return `${asked}: a length of ${length} for ${reply.rawBody.length} bytes`
  }
  return matcherOf(body, fill).test(text) ? undefined : `${asked}: ${text} instead of ${body}`
}

function sorted(headers: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function filled(
  headers: Expected['headers'],
  fill: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fillIn(value, fill)]))
}

/** The text with every placeholder that has a value. */
export function fillIn(text: string, fill: Readonly<Record<string, string>>): string {
  return text.replace(/<([a-z]+)>/g, (placeholder, name: string) => fill[name] ?? placeholder)
}

function matcherOf(body: string, fill: Readonly<Record<string, string>>): RegExp {
  const parts = body.split(/(<[a-z]+>|<b64 \d+>)/)
  const source = parts.map((part, index) => (index % 2 === 0 ? literal(part) : formOf(part, fill)))
  return new RegExp(`^${source.join('')}$`)
}

function formOf(placeholder: string, fill: Readonly<Record<string, string>>): string {
  const name = placeholder.slice(1, -1)
  const value = fill[name]
  if (value !== undefined) return literal(asInJson(value))
  if (name.startsWith('b64 ')) return base64Of(Number(name.slice(4)))
  const form = FORMS[name]
  if (form === undefined) throw new Error(`no request fills in ${placeholder}`)
  return form
}

/** Exactly so many bytes. */
function base64Of(bytes: number): string {
  const [whole, rest] = [Math.floor(bytes / 3) * 4, bytes % 3]
  const tail = ['', '[A-Za-z0-9+/]{2}==', '[A-Za-z0-9+/]{3}='][rest]
  return `[A-Za-z0-9+/]{${whole}}${tail}`
}

/** As Go writes a text within quotes. */
function asInJson(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
