// A disk that holds the audit file up delays replies, and the lock of a key; no worker is killed for it.
import { mkdirSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { expect } from 'vitest'
import { peerTest } from '../peers/peer.ts'
import { Installation } from '../server-process/installation.ts'
import { ServerProcess, sleep } from '../server-process/server-process.ts'
import { FaultShim } from './fault-shim.ts'

/** After the first line of the file. */
const AFTER_START = 4

peerTest('cc', 'a lock waits for the replies that wait for a slow disk, whose worker goes on', async () => {
  using shim = new FaultShim()
  const options = { keys: ['my-key'], workers: 2, audit: { stdout: 'off' }, under: realpathSync(tmpdir()) }
  using installation = await Installation.make(options)
  const folder = dirname(installation.auditFile)
  mkdirSync(folder, { mode: 0o700 })
  const { env } = shim.plan({ folder, at: AFTER_START, how: 'slow' })
  const args = ['server', '--config', installation.configFile]
  await using server = await ServerProcess.start(installation, args, { env })
  const answered: string[] = []
  const ask = async (api: string, protocol: 'h2' | 'http/1.1') => {
    const { status } = await server.request('PUT', `/v1/key/${api}/my-key`, { protocol })
    answered.push(`${api} ${status}`)
  }
  // On two connections, which have a worker each.
  const use = ask('generate', 'h2')
  await sleep(500)
  const lock = ask('disable', 'http/1.1')
  await Promise.all([use, lock])
  expect(answered).toEqual(['generate 200', 'disable 200'])
  await ask('generate', 'h2')
  expect(answered.at(-1)).toBe('generate 403')
  expect(server.stderr).not.toMatch(/is replaced/)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})
