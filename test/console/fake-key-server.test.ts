// What the console does when the key server behind it is in trouble, or changes its mind.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AuditedRequest, type ConsoleServer, type KeyServer, startConsole } from '@latchkey/console'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyPairOf } from '../sandbox/certificates.ts'
import { Browser } from './browser.ts'

const admin = keyPairOf('admin')
const clock = { nowMs: 0 }

let folder: string
let defects: unknown[]
let events: AuditedRequest[]
let keyServer: { -readonly [Name in keyof KeyServer]: KeyServer[Name] }
let server: ConsoleServer
let page: Browser

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-console-'))
  defects = []
  events = []
  keyServer = {
    membershipOf: () => ({ isAdmin: true, policy: undefined }),
    info: () => ({ version: '1', endpoint: '', workers: 1, store: '', certificate_expires: null }),
    handle: ({ identity }, _, response) => void response.end(identity),
    explain: () => ({ allowed: true }),
    isAuditing: true,
    async audit(event) {
      events.push(event)
    },
    reportDefect: (error) => void defects.push(error),
  }
  server = await startConsole({
    address: { host: '127.0.0.1', port: 0 },
    keyServer,
    pageFolder: folder,
    now: () => clock.nowMs,
  })
  page = new Browser(server.url)
})

afterEach(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

test('while the audit log takes no events nobody logs in, and no session does anything', async () => {
  await page.login(admin)
  keyServer.isAuditing = false
  let isAsked = false
  keyServer.explain = () => {
    isAsked = true
    return {}
  }
  const body = { identity: '', method: '', path: '' }
  for (const answer of [
    await page.tryLogin(admin.privateKey, admin.publicKey),
    await page.send('GET', '/console/info'),
    await page.send('POST', '/console/policy/explain', { body }),
  ]) {
    expect({ status: answer.status, json: answer.json }).toEqual({
      status: 503,
      json: { message: 'audit log is unavailable', code: 'AuditUnavailable' },
    })
  }
  expect(isAsked).toBe(false)
})

test('an answer whose event can not be kept is not given', async () => {
  keyServer.audit = () => Promise.reject(new Error('the disk is full'))
  const login = await page.tryLogin(admin.privateKey, admin.publicKey)
  expect({ status: login.status, json: login.json }).toEqual({
    status: 503,
    json: { message: 'audit log is unavailable', code: 'AuditUnavailable' },
  })
})

test('a defect is told to the operator, and nothing of it to the browser', async () => {
  await page.login(admin)
  keyServer.info = () => {
    throw new Error('a secret detail')
  }
  const { status, text } = await page.send('GET', '/console/info')
  expect(status).toBe(500)
  expect(JSON.parse(text)).toEqual({ message: 'internal server error', code: 'InternalError' })
  expect(defects.map(String)).toEqual(['Error: a secret detail'])
  expect(events.at(-1)).toMatchObject({
    status: 500,
    message: 'refused: internal server error (InternalError)',
  })
})

test('a session ends with the rights of its identity, and does not come back with them', async () => {
  await page.login(admin)
  expect((await page.send('GET', '/v1/key/list/')).status).toBe(200)
  const membershipOf = keyServer.membershipOf
  keyServer.membershipOf = () => undefined
  expect((await page.send('GET', '/v1/key/list/')).json.code).toBe('SessionRequired')
  keyServer.membershipOf = membershipOf
  expect((await page.send('GET', '/v1/key/list/')).json.code).toBe('SessionRequired')
})

test('a nonce and a session end with their time', async () => {
  const nonce = await page.nonce()
  clock.nowMs += 60_000
  expect((await page.tryLogin(admin.privateKey, admin.publicKey, { nonce })).json.code).toBe('LoginRefused')
  await page.login(admin)
  clock.nowMs += 15 * 60_000 - 1
  expect((await page.send('GET', '/console/info')).status).toBe(200)
  clock.nowMs += 15 * 60_000
  expect((await page.send('GET', '/console/info')).json.code).toBe('SessionRequired')
})

test.each([
  ['/v1/log/audit', 0],
  ['/v1/log/error', 0],
  ['/v1/key/watch/', 0],
  ['/v1/key/list/', 120_000],
])('a connection on which %s is silent is cut after %i ms, 0 for never', async (path, silenceMs) => {
  let found: number | undefined
  keyServer.handle = ({ identity }, { socket }, response) => {
    found = socket.timeout ?? 0
    response.end(identity)
  }
  await page.login(admin)
  await page.send('GET', path)
  expect(found).toBe(silenceMs)
})

test('the token of a session reaches nobody behind the console', async () => {
  let seen: object = {}
  keyServer.handle = (_, request, response) => {
    seen = request.headers
    response.end()
  }
  await page.login(admin)
  await page.send('GET', '/v1/key/list/')
  expect(JSON.stringify(seen)).not.toContain(page.token)
  expect(JSON.stringify(events)).not.toContain(page.token)
})
