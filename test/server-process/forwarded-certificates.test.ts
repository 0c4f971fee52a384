/** `tls.proxy` of a running server: in all of its processes, and after a reload. */
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { openConnection, PROTOCOLS } from '../sandbox/connection.ts'
import { Installation } from './installation.ts'
import { closed, type ServerProcess } from './server-process.ts'

const HEADER = 'X-Client-Cert'

let installation: Installation
let app: Credentials
let proxy: Credentials

beforeEach(async () => {
  app = await clientOf('app')
  proxy = await clientOf('proxy')
  installation = await Installation.make({
    keys: ['my-key'],
    policies: {
      app: {
        allow: ['/v1/key/create/*', '/v1/key/generate/*', '/v1/log/audit', '/v1/key/watch/*'],
        identities: [app.identity],
      },
    },
  })
  writeProxies([proxy.identity])
})

afterEach(() => installation[Symbol.dispose]())

function writeProxies(identities: readonly string[]): void {
  const config = JSON.parse(readFileSync(installation.configFile, 'utf8'))
  config.tls.proxy = { identities, header: { cert: HEADER } }
  installation.write('kes.yml', JSON.stringify(config, undefined, 2))
}

async function reload(server: ServerProcess): Promise<void> {
  const completed = () => server.stdout.split('after SIGHUP signal completed').length - 1
  const before = completed()
  server.kill('SIGHUP')
  await expect.poll(completed, { timeout: 20_000, interval: 20 }).toBe(before + 1)
}

const forwarded = ({ cert }: Credentials) => ({ [HEADER]: encodeURIComponent(cert) })

describe.each([1, 2])('a server of %i processes that serve', (workers) => {
  const start = () => installation.start(['--config', installation.configFile, '--workers', String(workers)])

  const connect = (server: ServerProcess, protocol: (typeof PROTOCOLS)[number]) =>
    openConnection(protocol, {
      host: '127.0.0.1',
      port: server.port,
      ca: installation.ca,
      key: proxy.key,
      cert: proxy.cert,
    })

  test('makes keys for the caller behind a proxy, whom the audit log names with the proxy', async () => {
    await using server = await start()
    for (let connection = 0; connection < 2 * workers; connection += 1) {
      server.closeConnections()
      const path = `/v1/key/create/made-${connection}`
      const made = await server.request('PUT', path, { as: proxy, headers: forwarded(app) })
      expect(made.status).toBe(200)
      const { rawBody } = await server.request('GET', `/v1/key/describe/made-${connection}`)
      expect(JSON.parse(rawBody.toString()).created_by).toBe(app.identity)
      const event = () => server.auditLog().find(({ req }) => req?.path === path)?.req
      await expect
        .poll(event)
        .toEqual({ method: 'PUT', path, ip: '127.0.0.1', identity: app.identity, proxy: proxy.identity })
    }
  })

  test('takes its power from a proxy by a reload, also on connections and streams that are open', async () => {
    await using server = await start()
    const connections = PROTOCOLS.flatMap((protocol) =>
      Array.from({ length: workers + 1 }, () => connect(server, protocol)),
    )
    const generate = () =>
      Promise.all(
        connections.map((connection) =>
          connection.send({
            method: 'PUT',
            path: '/v1/key/generate/my-key',
            headers: forwarded(app),
            body: Buffer.from('{}'),
          }),
        ),
      )
    const statuses = async () => [...new Set((await generate()).map(({ status }) => status))]
    const readers = await Promise.all(
      ['/v1/log/audit', '/v1/key/watch/'].map(async (path) => {
        const reader = await server.connect({ as: proxy })
        reader.write(
          `GET ${path} HTTP/1.1\r\nHost: kes\r\n${HEADER}: ${encodeURIComponent(app.cert)}\r\n\r\n`,
        )
        const [first] = await new Promise<Buffer[]>((resolve) =>
          reader.once('data', (chunk: Buffer) => resolve([chunk])),
        )
        expect(first?.toString()).toMatch(/^HTTP\/1\.1 200 /)
        return reader
      }),
    )
    expect(await statuses()).toEqual([200])

    writeProxies([])
    await reload(server)
    expect(await statuses()).toEqual([403])
    for (const reader of readers) await closed(reader)

    writeProxies([proxy.identity])
    await reload(server)
    expect(await statuses()).toEqual([200])
    for (const connection of connections) connection.close()
  })
})
