// A disk that hangs is told by /v1/ready at once, and holds up no request that does not need it.
import { realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { peerTest } from '../peers/peer.ts'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { Installation } from '../server-process/installation.ts'
import { requireOfServer, ServerProcess, sleep } from '../server-process/server-process.ts'
import { FaultShim } from './fault-shim.ts'

describe.each([1, 2])('a server of %i processes that serve', (workers) => {
  peerTest(
    'cc',
    'says that its store is unreachable while the disk hangs, and serves from memory',
    async () => {
      using shim = new FaultShim()
      using installation = await Installation.make({
        keys: ['my-key'],
        workers,
        under: realpathSync(tmpdir()),
      })
      const folder = dirname(installation.storeFile)
      const hang = `${installation.folder}/hang`
      const { env } = shim.plan({ folder, at: 0, how: 'EIO', hang })
      const args = ['server', '--config', installation.configFile]
      await using server = await ServerProcess.start(installation, args, { env })
      /** With two workers, each protocol's connection has one of its own. */
      const ask = (method: string, path: string) =>
        Promise.all(PROTOCOLS.map((protocol) => server.request(method, path, { protocol })))
      const use = async () => (await ask('PUT', '/v1/key/generate/my-key')).map(({ status }) => status)
      const readiness = async () => (await ask('GET', '/v1/ready')).map(({ status }) => status)
      expect([await use(), await readiness()]).toEqual([
        [200, 200],
        [200, 200],
      ])

      // None of these replies waits for the disk: it does not answer before the file is gone.
      installation.write('hang', '')
      for (let time = 0; time < 3; time += 1) {
        for (const { status, rawBody } of await ask('GET', '/v1/ready')) {
          expect(status).toBe(504)
          expect(rawBody.toString()).toBe(
            '{"message":"key store is not reachable","code":"StoreUnreachable"\n}',
          )
        }
        expect(await use()).toEqual([200, 200])
      }
      for (const { rawBody } of await ask('GET', '/v1/status')) {
        expect(JSON.parse(rawBody.toString())).toMatchObject({ keystore_unreachable: true })
      }

      rmSync(hang)
      await expect.poll(readiness).toEqual([200, 200])
      expect(server.stderr).toContain('the disk of the store has not answered within 75 ms')
      expect(await server.stop()).toEqual({ code: 0, signal: null })
    },
  )
})

test('with several processes, /v1/ready answers while a change waits for another program that writes', async () => {
  using installation = await Installation.make({ keys: ['my-key'], workers: 2 })
  await using server = await installation.start()
  const answered: string[] = []
  const ask = async (method: string, path: string, protocol: (typeof PROTOCOLS)[number]) => {
    const { status } = await server.request(method, path, { protocol })
    answered.push(`${path} ${status}`)
  }
  for (const protocol of PROTOCOLS) await ask('GET', '/v1/ready', protocol)
  answered.length = 0
  const Database = requireOfServer('better-sqlite3')
  const other = new Database(installation.storeFile)
  other.exec('BEGIN IMMEDIATE')
  const change = ask('PUT', '/v1/key/create/next', 'h2')
  for (let time = 0; time < 3; time += 1) {
    await sleep(20)
    await ask('GET', '/v1/ready', 'http/1.1')
  }
  await change // A second is as long as a write waits.
  other.close()
  expect(answered).toEqual([...Array(3).fill('/v1/ready 200'), '/v1/key/create/next 502'])
  await ask('PUT', '/v1/key/create/next', 'h2')
  expect(answered.at(-1)).toBe('/v1/key/create/next 200')
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})
