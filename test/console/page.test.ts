// What the listener says to a browser that opens the page.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConsoleServer, type KeyServer, startConsole } from '@latchkey/console'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Browser } from './browser.ts'

/** Of a page that nobody has logged in to. */
const keyServer: KeyServer = {
  membershipOf: () => undefined,
  info: () => ({ version: '', endpoint: '', workers: 1, store: '', certificate_expires: null }),
  handle: (_, __, response) => void response.destroy(),
  explain: () => undefined,
  isAuditing: true,
  audit: () => Promise.resolve(),
  reportDefect(error) {
    throw error
  },
}

const CSP = [
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

let folder: string
let server: ConsoleServer
let browser: Browser

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-page-'))
  server = await startConsole({ address: { host: '127.0.0.1', port: 0 }, keyServer, pageFolder: folder })
  browser = new Browser(server.url)
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

test('without a built page it says how to build it', async () => {
  const { status, json } = await browser.send('GET', '/')
  expect({ status, code: json.code }).toEqual({ status: 503, code: 'PageNotBuilt' })
  expect(json.message).toContain('npm run setup')
})

test('every answer has the headers that keep other sites and injected script out', async () => {
  writeFileSync(join(folder, 'index.html'), '<!doctype html>')
  mkdirSync(join(folder, 'assets'), { recursive: true })
  writeFileSync(join(folder, 'assets', 'app-1.css'), 'a{}')
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/assets/app-1.css'],
    ['GET', '/nowhere'],
    ['POST', '/console/nonce'],
    ['GET', '/console/info'],
    ['GET', '/v1/status'],
  ] as const) {
    const { headers } = await browser.send(method, path)
    expect(headers).toMatchObject({
      'content-security-policy': CSP,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
    expect(headers['set-cookie']).toBeUndefined()
    const isHashed = path.startsWith('/assets/')
    expect(headers['cache-control']).toBe(isHashed ? 'public, max-age=31536000, immutable' : 'no-store')
  }
})

test('files are compressed for browsers that take it', async () => {
  const plain = await browser.send('GET', '/')
  const gzipped = await browser.send('GET', '/', { headers: { 'accept-encoding': 'br, gzip' } })
  expect(plain.headers['content-encoding']).toBeUndefined()
  expect(plain.text).toBe('<!doctype html>')
  expect(gzipped.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
})

test('HEAD has the headers of GET, and other methods are refused', async () => {
  const head = await browser.send('HEAD', '/')
  expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '15', ''])
  expect((await browser.send('POST', '/')).status).toBe(405)
})
