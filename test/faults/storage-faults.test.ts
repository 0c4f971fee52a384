/**
 * The n-th write, sync or rename of a server's files fails, for every n or a sample of them. Whatever that does to the
 * call under way: nothing that was acknowledged is lost, errors are clear, the store opens again, and journal and audit
 * files verify.
 *
 * `STORAGE_FAULTS=all` tries every n with every fault; a number, so many of them.
 */
import { createPublicKey } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect } from 'vitest'
import { loadConfigFile } from '../../packages/kes-server/src/config/load-config.ts'
import { type Core, openCore } from '../../packages/kes-server/src/core.ts'
import { KesError } from '../../packages/kes-server/src/errors.ts'
import { JournalVerifier } from '../../packages/kes-server/src/journal/verify.ts'
import { Broadcast } from '../../packages/kes-server/src/log/broadcast.ts'
import { createLogger, ErrorLog } from '../../packages/kes-server/src/log/error-log.ts'
import { Metrics } from '../../packages/kes-server/src/metrics/metrics.ts'
import { ServerTally } from '../../packages/kes-server/src/metrics/server-tally.ts'
import { parseKeyName } from '../../packages/kes-server/src/names.ts'
import { SingleProcess } from '../../packages/kes-server/src/workers/hub.ts'
import { peerTest } from '../peers/peer.ts'
import { readAuditLines, verifyAuditWith } from '../server-process/audit-log-files.ts'
import { Installation } from '../server-process/installation.ts'
import { ServerProcess } from '../server-process/server-process.ts'
import { type Fault, FaultShim, faultCases } from './fault-shim.ts'

const SAMPLE = process.env.STORAGE_FAULTS ?? '50'
const AT_A_TIME = Number(process.env.STORAGE_FAULTS_AT_A_TIME ?? 2)

/** Requests, one after the other, with the state that each leaves its key in. */
const STEPS: readonly (readonly [method: string, path: string, leaves?: State])[] = [
  ['PUT', 'create/a', 'enabled'],
  ['PUT', 'create/b', 'enabled'],
  ['PUT', 'generate/a'],
  ['PUT', 'disable/b', 'disabled'],
  ['PUT', 'create/c', 'enabled'],
  ['DELETE', 'delete/a', 'gone'],
  ['PUT', 'enable/b', 'enabled'],
  ['PUT', 'generate/b'],
  ['PUT', 'disable/c', 'disabled'],
  ['PUT', 'generate/c'],
  ['DELETE', 'delete/b?after=1h', 'pending'],
  ['PUT', 'cancel-deletion/b', 'disabled'],
  ['DELETE', 'delete/c', 'gone'],
  ['PUT', 'create/d', 'enabled'],
  ['PUT', 'generate/d'],
]

type State = 'none' | 'enabled' | 'disabled' | 'pending' | 'gone'

/** What may be answered where a file can't be written. */
const STORAGE_CODES = ['StoreUnavailable', 'AuditUnavailable', 'ErasePending', 'StoreUnreachable']
/** And what follows from a step before that was not done. */
const CONSEQUENCES = [
  'KeyNotFound',
  'KeyDisabled',
  'KeyPendingDeletion',
  'WrongState',
  'KeyExists',
  'KeyNameReserved',
]

interface Outcome {
  readonly isStarted: boolean
  readonly operations: number
}

async function runWithFault(shim: FaultShim, at: number, how: Fault): Promise<Outcome> {
  using installation = await Installation.make({
    workers: 1,
    audit: { stdout: 'off' },
    under: realpathSync(tmpdir()),
  })
  const { env, count } = shim.plan({ folder: installation.folder, at, how })
  /** States that each key may be in: one after a 200, two after an error. */
  const possible = new Map<string, Set<State>>()
  const acknowledged = new Map<string, number>()
  let server: ServerProcess | undefined
  let isFaulty = false
  try {
    server = await ServerProcess.start(installation, ['server', '--config', installation.configFile], { env })
  } catch (error) {
    const text = String(error).replaceAll('\n', ' ⏎ ')
    expect(/⏎ Error: .*the (?:store|audit file|file|folder) '/.test(text), text).toBe(true)
  }
  if (server !== undefined) {
    for (const [method, path, leaves] of STEPS) {
      const target = `/v1/key/${path}`
      const { status, rawBody } = await server.request(method, target)
      const [, name = ''] = /\/([a-z])(?:\?|$)/.exec(path) ?? []
      const before = possible.get(name) ?? new Set<State>(['none'])
      if (status === 200) {
        const [event = ''] = target.split('?')
        acknowledged.set(event, (acknowledged.get(event) ?? 0) + 1)
        if (leaves !== undefined) possible.set(name, new Set([leaves]))
      } else {
        const { code } = JSON.parse(rawBody.toString())
        const isStorage = STORAGE_CODES.includes(code)
        expect(isStorage || CONSEQUENCES.includes(code), `${path}: ${rawBody}`).toBe(true)
        if (isStorage) isFaulty = true
        if (leaves !== undefined && isStorage) possible.set(name, new Set([...before, leaves]))
      }
    }
    const end = await server.stop()
    expect(end, server.stderr).toEqual({ code: 0, signal: null })
    if (isFaulty) expect(server.stderr).toMatch(/disk|space|ENOSPC|EIO|audit file|still on the disk/)
  }
  const operations = count()
  // Its journal has what takes keys out of use; see docs/audit-file.md.
  const isAuditLost = server?.stderr.includes('the audit file can not be written') === true
  if (isAuditLost)
    for (const path of acknowledged.keys()) if (/disable|delete/.test(path)) acknowledged.delete(path)
  await assertKept(installation, possible, acknowledged)
  return { isStarted: server !== undefined, operations }
}

/** Opens what the server left, without faults. */
async function assertKept(
  installation: Installation,
  possible: ReadonlyMap<string, ReadonlySet<State>>,
  acknowledged: ReadonlyMap<string, number>,
): Promise<void> {
  const notices: string[] = []
  const metrics = new Metrics()
  const logger = createLogger({ write: (line) => notices.push(line) })
  const errorLog = new ErrorLog(logger, 0, new Broadcast(() => undefined))
  const { config } = loadConfigFile(installation.configFile, { env: {} })
  const core = await openCore({
    config,
    hub: new SingleProcess(metrics),
    metrics,
    tally: new ServerTally(),
    errorLog,
  })
  try {
    for (const [name, states] of possible) {
      const state = stateOf(core, name)
      expect([...states], `${name} is ${state}`).toContain(state)
    }
    const verifier = new JournalVerifier(
      createPublicKey(readFileSync(`${installation.storeFile}.journal.pub`)),
    )
    const entries = core.services.journal.read(0, 10_000)
    for (const { entry, signature } of entries) verifier.next({ bytes: entry, signature })
    verifier.end()

    await verifyAuditWith(installation, entries)
    const events = (await readAuditLines(installation)).map(({ req }) => req?.path)
    for (const [path, count] of acknowledged) {
      expect(events.filter((event) => event === path).length, path).toBeGreaterThanOrEqual(count)
    }
    expect(notices.join('')).not.toMatch(/not in the audit files|was changed/)
  } finally {
    await core.close()
  }
}

function stateOf({ services: { ring, store } }: Core, text: string): State {
  const name = parseKeyName(text)
  try {
    const { state } = ring.describe(name)
    if (state === 'enabled') ring.use(name)
    return state
  } catch (error) {
    if (!(error instanceof KesError) || error.code !== 'KeyNotFound') throw error
    return store.readErased(name) === undefined ? 'none' : 'gone'
  }
}

peerTest(
  'cc',
  `nothing acknowledged is lost where a write, sync or rename fails (${SAMPLE} of them)`,
  async () => {
    using shim = new FaultShim()
    const honest = await runWithFault(shim, 0, 'EIO')
    expect(honest.isStarted).toBe(true)
    expect(honest.operations).toBeGreaterThan(100)
    const cases = faultCases(honest.operations, SAMPLE)
    const counts = { started: 0, 'not started': 0 }
    const problems: string[] = []
    const next = async () => {
      for (let each = cases.shift(); each !== undefined; each = cases.shift()) {
        const { at, how } = each
        try {
          const { isStarted } = await runWithFault(shim, at, how)
          counts[isStarted ? 'started' : 'not started'] += 1
        } catch (error) {
          problems.push(`operation ${at} of ${honest.operations}, ${how}: ${String(error)}`)
        }
      }
    }
    const total = cases.length
    await Promise.all(Array.from({ length: AT_A_TIME }, next))
    expect(problems).toEqual([])
    console.log(`${total} faults over ${honest.operations} operations: ${JSON.stringify(counts)}`)
  },
  SAMPLE === 'all' ? 7_200_000 : 240_000,
)
