/**
 * Nothing secret in what a server writes. Every other file of this folder checks the same of its own requests when
 * it stops its servers; here the requests are the worst ones, at the level that logs most.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DEBUG } from '../../packages/kes-server/src/config/log-level.ts'
import { Secrets } from '../sandbox/leaks.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, startTestServer } from '../sandbox/server.ts'
import { openLog } from './log-stream.ts'
import { sleep } from './raw-http.ts'
import { base64, jsonOf } from './replies.ts'

const canary = (label: string) => Buffer.from(`canary-${label}-`.padEnd(32, 'ÿ').slice(0, 32), 'latin1')

const SECRET_KEY = canary('secret-key')
const HMAC_KEY = canary('hmac-key')
const IMPORTED_KEY = canary('imported-key')
const PLAINTEXT = canary('plaintext')
const CONTEXT = canary('context')
const MESSAGE = canary('message')
const ALL = [SECRET_KEY, HMAC_KEY, IMPORTED_KEY, PLAINTEXT, CONTEXT, MESSAGE]

const body = {
  key: base64(IMPORTED_KEY),
  plaintext: base64(PLAINTEXT),
  context: base64(CONTEXT),
  message: base64(MESSAGE),
}

/** Bodies that are refused at each stage of reading them, with secrets in every one. */
const MALFORMED = [
  JSON.stringify(body).slice(0, -1),
  JSON.stringify(body).replaceAll('=', ''),
  JSON.stringify({ ...body, version: 1 }),
  JSON.stringify([body]),
  JSON.stringify(JSON.stringify(body)),
  `x${JSON.stringify(body)}`,
  JSON.stringify({ ...body, plaintext: PLAINTEXT.toString('hex'), message: MESSAGE.toString('latin1') }),
  JSON.stringify({ ...body, cipher: base64(IMPORTED_KEY) }),
  JSON.stringify({ key: base64(Buffer.concat([IMPORTED_KEY, Buffer.of(0)])), cipher: 'AES256' }),
]

test.each(PROTOCOLS)(
  'over %s, no key, plaintext, context or message is written to a log',
  async (protocol) => {
    using store = prepareStore([{ name: 'a', secretKey: SECRET_KEY, hmacKey: HMAC_KEY }])
    const server = await startTestServer({ ...store, log: { errorLevel: DEBUG, auditLevel: DEBUG } })
    for (const secret of ALL) server.secrets.addBytes(secret)
    server.secrets.addBytes(Buffer.from(server.apiKey.toString().slice('kes:v1:'.length), 'base64'))
    server.secrets.addBytes(
      readFileSync(store.keystore.unseal.type === 'key-file' ? store.keystore.unseal.path : ''),
    )
    const streams = [await openLog(server, 'audit', protocol), await openLog(server, 'error', protocol)]
    const put = (api: string, name: string, sent: string | object) =>
      server.request('PUT', `/v1/key/${api}/${name}`, {
        protocol,
        body: typeof sent === 'string' ? sent : { ...sent },
      })

    for (const name of ['a', 'nope', 'no.name']) {
      for (const api of ['import', 'generate', 'encrypt', 'decrypt', 'hmac']) {
        for (const sent of MALFORMED) await put(api, name, sent)
        await put(api, name, { ...body, cipher: 'AES256' })
      }
    }
    const { ciphertext } = jsonOf<{ ciphertext: string }>(await put('encrypt', 'a', body))
    expect((await put('decrypt', 'a', { ciphertext, context: body.context })).status).toBe(200)
    await put('decrypt', 'a', { ciphertext, context: base64('wrong') })
    await put('import', 'b', { key: body.key, cipher: 'AES256' })
    await put('disable', 'a', '')
    await put('encrypt', 'a', body)
    await server.request('DELETE', '/v1/key/delete/a', { protocol })
    await put('encrypt', 'a', body)
    await sleep(30)

    expect(server.errorLog().length).toBeGreaterThan(20)
    expect(server.auditLog().length).toBeGreaterThan(100)
    const streamed = JSON.stringify(streams.map((stream) => stream.lines()))
    expect(streamed.length).toBeGreaterThan(10_000)
    expect(server.secrets.findIn(streamed)).toEqual([])
    expect(server.secrets.findIn(server.written())).toEqual([])
    for (const stream of streams) stream.close()
    await server.stop()
  },
)

test('the search finds a secret in each form that a log may give it', () => {
  const secrets = new Secrets()
  secrets.addBytes(PLAINTEXT)
  const forms = [
    PLAINTEXT.toString('latin1'),
    PLAINTEXT.toString('hex'),
    PLAINTEXT.toString('hex').toUpperCase(),
    PLAINTEXT.toString('base64'),
    PLAINTEXT.toString('base64url'),
  ]
  for (const form of forms) expect(secrets.findIn(`{"msg":"body was '${form}'"}`)).not.toEqual([])
  expect(secrets.findIn('{"msg":"nothing"}')).toEqual([])
})

test('a body that a log quotes is found by what the fixture has seen of it', () => {
  const secrets = new Secrets()
  secrets.addBody(Buffer.from(JSON.stringify(body)))
  for (const secret of [IMPORTED_KEY, PLAINTEXT, CONTEXT, MESSAGE]) {
    expect(secrets.findIn(`unexpected ${secret.toString('hex')}`)).not.toEqual([])
    expect(secrets.findIn(`unexpected ${base64(secret)}`)).not.toEqual([])
  }
})
