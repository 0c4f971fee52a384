// An event is on the disk before its reply goes out: whatever moment a server is killed at, none is missing.
import { expect, test } from 'vitest'
import { readAuditLines, verifyAudit } from './audit-log-files.ts'
import { Installation } from './installation.ts'
import { type ServerProcess, sleep } from './server-process.ts'

/** More with `AUDIT_KILLS=200`. */
const KILLS = Number(process.env.AUDIT_KILLS ?? 4)
const CLIENTS = 8

/** Uses and changes keys until the server is gone. @returns how many requests of each path were answered. */
async function useKeys(server: ServerProcess, prefix: string, answered: Map<string, number>): Promise<void> {
  for (let count = 0; ; count += 1) {
    const paths = [
      'generate/my-key',
      `create/${prefix}-${count}`,
      `disable/${prefix}-${count}`,
      'generate/none',
    ]
    for (const api of paths) {
      const path = `/v1/key/${api}`
      await server.request('PUT', path)
      answered.set(path, (answered.get(path) ?? 0) + 1)
    }
  }
}

const total = (counts: ReadonlyMap<string, number>) =>
  [...counts.values()].reduce((sum, count) => sum + count, 0)

test.for([1, 2])(
  'after SIGKILL with %i workers no event of an answered request is missing',
  async (workers) => {
    const options = { keys: ['my-key'], workers, audit: { max_size: '64KiB' } }
    using installation = await Installation.make(options)
    const answered = new Map<string, number>()
    for (let kill = 0; kill < KILLS; kill += 1) {
      await using server = await installation.start()
      const using = Array.from({ length: CLIENTS }, (_, client) =>
        useKeys(server, `k${kill}-${client}`, answered).catch(() => undefined),
      )
      const enough = total(answered) + 20 + Math.floor(Math.random() * 60)
      while (total(answered) < enough) await sleep(1)
      server.kill('SIGKILL')
      await server.ended
      server.closeConnections()
      await Promise.all(using)
    }
    await using server = await installation.start()
    await verifyAudit(installation, server)

    const events = new Map<string, number>()
    for (const { req } of await readAuditLines(installation)) {
      if (req !== undefined) events.set(req.path, (events.get(req.path) ?? 0) + 1)
    }
    for (const [path, count] of answered) expect(events.get(path) ?? 0, path).toBeGreaterThanOrEqual(count)
    // No more events than clients had requests under way when they were cut.
    const more = [...events].reduce((sum, [path, count]) => sum + count - (answered.get(path) ?? 0), 0)
    expect(more).toBeLessThanOrEqual(KILLS * CLIENTS + 10 + KILLS)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  },
)
