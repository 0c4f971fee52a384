/** What tests expect of replies, and how they read them. */
import { expect } from 'vitest'
import type { Reply } from '../sandbox/server.ts'

export const NOT_ALLOWED = 'not authorized: insufficient permissions'

/** The bytes of an error: KES has a newline before the closing brace and none after it. */
export function errorBody(message: string, code: string): string {
  return `{"message":${JSON.stringify(message)},"code":"${code}"\n}`
}

export function textOf({ rawBody }: Pick<Reply, 'rawBody'>): string {
  return rawBody.toString('utf8')
}

/** The one JSON document of a reply; the caller names its shape. */
export function jsonOf<Shape>({ rawBody }: Pick<Reply, 'rawBody'>): Shape {
  const text = rawBody.toString('utf8')
  expect(text.endsWith('}\n') || text.endsWith(']\n')).toBe(true)
  return JSON.parse(text)
}

/** Headers that the version of HTTP or Node adds, and that say nothing of the API. */
const OF_THE_CONNECTION = new Set(['date', 'connection', 'keep-alive'])

export function apiHeadersOf({ headers }: Reply): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.has(name)))
}

export function expectError(reply: Reply, status: number, message: string, code: string): void {
  expect([reply.status, textOf(reply)]).toEqual([status, errorBody(message, code)])
  expect(reply.headers['content-type']).toBe('application/json')
  expect(reply.headers['content-length']).toBe(String(reply.rawBody.length))
}

export function expectEmpty(reply: Reply): void {
  expect([reply.status, textOf(reply)]).toEqual([200, ''])
  expect(apiHeadersOf(reply)).toEqual({ 'content-length': '0' })
}

export function base64(text: string | Uint8Array): string {
  return Buffer.from(text).toString('base64')
}
