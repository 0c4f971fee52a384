// Change and entry are one commit: whatever moment a server is killed at, its store and its journal agree.
import { expect, test } from 'vitest'
import { Installation } from './installation.ts'
import { statesByJournal } from './journal-states.ts'
import type { ServerProcess } from './server-process.ts'

/** More with `JOURNAL_KILLS=200`. */
const KILLS = Number(process.env.JOURNAL_KILLS ?? 3)

interface Page {
  readonly entries: readonly { readonly entry: string; readonly signature: string }[]
  readonly continue_at?: number
  readonly keys?: readonly { readonly name: string; readonly state: string; readonly revision: number }[]
}

/** Changes keys until the server is gone. */
async function changeKeys(server: ServerProcess, prefix: string): Promise<void> {
  for (let count = 0; ; count += 1) {
    for (const api of ['create', 'disable', 'enable'])
      await server.request('PUT', `/v1/key/${api}/${prefix}-${count}`)
    if (count % 2 === 0) await server.request('DELETE', `/v1/key/delete/${prefix}-${count}`)
  }
}

async function get(server: ServerProcess, path: string): Promise<Page> {
  const { rawBody } = await server.request('GET', path)
  return JSON.parse(rawBody.toString())
}

test('after SIGKILL at any moment every key is as its last entry says, and the journal is whole', async () => {
  using installation = await Installation.make()
  for (let kill = 0; kill < KILLS; kill += 1) {
    await using server = await installation.start()
    const changing = [0, 1, 2, 3].map((worker) =>
      changeKeys(server, `k${kill}_${worker}`).catch(() => undefined),
    )
    await expect.poll(() => server.auditLog().length).toBeGreaterThan(0)
    setTimeout(() => server.kill('SIGKILL'), Math.random() * 150)
    expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' })
    server.closeConnections()
    await Promise.all(changing)

    await using next = await installation.start()
    const states = await statesByJournal(next, `${installation.storeFile}.journal.pub`)
    const { keys = [] } = await get(next, `/v1/key/list/k${kill}_*?details=true`)
    for (const { name, state, revision } of keys) expect(states.get(name)).toBe(`${state} ${revision}`)
    expect([...states.keys()].filter((name) => name.startsWith(`k${kill}_`))).toHaveLength(keys.length)
    expect(keys.length).toBeGreaterThan(0)
    await next.stop()
  }
})
