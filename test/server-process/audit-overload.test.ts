// Overload slows requests and drops no event; and a lock holds when it is answered, however many replies are held.
import { expect, test } from 'vitest'
import { openConnection, PROTOCOLS } from '../sandbox/connection.ts'
import { readAuditLines, verifyAudit } from './audit-log-files.ts'
import { Installation } from './installation.ts'
import { sleep } from './server-process.ts'

/** More with `AUDIT_REQUESTS=1000000`. */
const REQUESTS = Number(process.env.AUDIT_REQUESTS ?? 4000)
const CONNECTIONS = 12
const AT_A_TIME = 400
const FLIPS = 3

interface Use {
  readonly sentMs: number
  readonly answeredMs: number
  readonly status: number
}

const TITLE = `with %i workers, ${AT_A_TIME} requests at a time have an event each, and a lock holds when it is answered`

test.for([1, 2])(TITLE, { timeout: 240_000 }, async (workers) => {
  using installation = await Installation.make({
    keys: ['my-key'],
    workers,
    audit: { stdout: 'off', max_size: '256KiB' },
  })
  await using server = await installation.start()
  const connections = Array.from({ length: CONNECTIONS }, (_, number) =>
    openConnection(PROTOCOLS[number % 4 === 3 ? 1 : 0] ?? 'h2', server.tlsOptions()),
  )
  const uses: Use[] = []
  let left = REQUESTS
  let isOver = false
  const use = async (client: number) => {
    for (; left > 0 || !isOver; left -= 1) {
      const sentMs = performance.now()
      const path = '/v1/key/generate/my-key'
      const connection = connections[client % CONNECTIONS]
      const reply = await connection?.send({ method: 'PUT', path, headers: {}, body: undefined })
      uses.push({ sentMs, answeredMs: performance.now(), status: reply?.status ?? 0 })
    }
  }
  const changes: { readonly verb: string; readonly sentMs: number; readonly answeredMs: number }[] = []
  const change = async (verb: string) => {
    const sentMs = performance.now()
    expect((await server.request('PUT', `/v1/key/${verb}/my-key`)).status).toBe(200)
    const answeredMs = performance.now()
    changes.push({ verb, sentMs, answeredMs })
    // Some uses must begin and end before the next change.
    const isSeen = () => uses.findLast((each) => each.sentMs > answeredMs) !== undefined
    while (!isSeen()) await sleep(5)
  }
  const using = Promise.all(Array.from({ length: AT_A_TIME }, (_, client) => use(client)))
  for (let flip = 0; flip < FLIPS; flip += 1) {
    await change('disable')
    await change('enable')
  }
  isOver = true
  await using
  for (const connection of connections) connection.close()

  expect(uses.length).toBeGreaterThanOrEqual(REQUESTS)
  expect(new Set(uses.map(({ status }) => status))).toEqual(new Set([200, 403]))
  for (const [index, { verb, answeredMs }] of changes.entries()) {
    const next = changes[index + 1]?.sentMs ?? Number.POSITIVE_INFINITY
    const between = uses.filter((each) => each.sentMs > answeredMs && each.answeredMs < next)
    for (const { status } of between) expect(status).toBe(verb === 'disable' ? 403 : 200)
  }

  await verifyAudit(installation, server)
  const events = (await readAuditLines(installation)).filter(
    ({ req }) => req?.path === '/v1/key/generate/my-key',
  )
  expect(events).toHaveLength(uses.length)
  for (const status of [200, 403]) {
    const replies = uses.filter((each) => each.status === status)
    expect(events.filter(({ res }) => res?.code === status)).toHaveLength(replies.length)
  }
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})
