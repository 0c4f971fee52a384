/**
 * Readers use keys through all workers, over both protocols, while the keys are disabled, enabled, deleted and made
 * anew, one by one and by a pattern, by clients and through the console, and while workers are killed. What was recorded
 * is judged by history.ts.
 *
 *     node test/locking/race.ts --n 1000000
 */
import { Browser } from '../console/browser.ts'
import { keyPairOf } from '../sandbox/certificates.ts'
import { type Connection, openConnection, PROTOCOLS, type Protocol } from '../sandbox/connection.ts'
import { Installation } from '../server-process/installation.ts'
import { type ServerProcess, sleep } from '../server-process/server-process.ts'
import { runDriver } from './driver.ts'
import { type Change, judge, type Moment, type Use } from './history.ts'

const WORKERS = 3
/** Connections of readers, for each protocol. */
const CONNECTIONS = 2 * WORKERS
/** Requests that a reader has under way. */
const STREAMS: Readonly<Record<Protocol, number>> = { h2: 12, 'http/1.1': 1 }
const SINGLE_KEYS = 6
/** Changed together, by a pattern. */
const GROUP_KEYS = 3
/** Uses of a key that end between two changes of it, at least. */
const USES_BETWEEN = 3
const KILL_INTERVAL_MS = 4_000

export interface RaceOptions {
  /** Uses that meet a lock. */
  readonly n: number
  /** Default: `sqlite`. */
  readonly store?: 'sqlite' | 'fs'
  /** Another program than the server's own. */
  readonly program?: string | undefined
  /** Ends the race at the first violation. */
  readonly isEndedByViolation?: boolean
  readonly onProgress?: (raced: number, changes: number, violations: number) => void
}

export interface RaceResult {
  readonly uses: number
  readonly raced: number
  readonly changes: number
  readonly kills: number
  readonly violations: readonly string[]
  readonly seconds: number
}

export async function race(options: RaceOptions): Promise<RaceResult> {
  using installation = await Installation.make({
    ...{ workers: WORKERS, audit: { stdout: 'off' }, console: { address: '127.0.0.1:0' } },
    ...(options.store === undefined ? {} : { store: options.store }),
  })
  await using server = await installation.start(undefined, {
    ...(options.program === undefined ? {} : { program: options.program }),
  })
  const page = await new Browser(server.consoleUrl).login(keyPairOf('admin'))
  const result = await new Race(server, page, options).run()
  server.closeConnections()
  return result
}

class Race {
  readonly #server: ServerProcess
  readonly #page: Browser
  readonly #options: RaceOptions
  #clock = 0
  #turn = 0
  #asked = 0
  readonly #changes: Change[] = []
  /** When the changes began that have not ended. */
  readonly #underWay = new Set<number>()
  #uses: Use[] = []
  readonly #usesOf = new Map<string, number>()
  /** A ciphertext for each key, to decrypt. */
  readonly #ciphertexts = new Map<string, string>()
  #isOver = false
  readonly #judged = { uses: 0, raced: 0 }
  readonly #violations: string[] = []
  #kills = 0

  constructor(server: ServerProcess, page: Browser, options: RaceOptions) {
    this.#server = server
    this.#page = page
    this.#options = options
  }

  async run(): Promise<RaceResult> {
    const startedMs = performance.now()
    this.#countTurns()
    const singles = Array.from({ length: SINGLE_KEYS }, (_, index) => `single-${index}`)
    const group = Array.from({ length: GROUP_KEYS }, (_, index) => `group-${index}`)
    for (const key of [...singles, ...group]) await this.#change([key], false, 'PUT', `create/${key}`)
    const reading = PROTOCOLS.flatMap((protocol) =>
      Array.from({ length: CONNECTIONS }, () => this.#readThrough(protocol, [...singles, ...group])),
    )
    const changing = [...singles.map((key) => this.#changeSingle(key)), this.#changeGroup(group)]
    const killing = this.#killWorkers()
    await this.#untilRaced()
    this.#isOver = true
    await Promise.all([...changing, ...reading.flat(), killing])
    this.#judge()
    const seconds = (performance.now() - startedMs) / 1000
    return {
      ...this.#judged,
      changes: this.#changes.length,
      kills: this.#kills,
      violations: this.#violations,
      seconds,
    }
  }

  async #untilRaced(): Promise<void> {
    while (this.#judged.raced < this.#options.n) {
      await sleep(500)
      this.#judge()
      this.#options.onProgress?.(this.#judged.raced, this.#changes.length, this.#violations.length)
      if (this.#violations.length > 0 && this.#options.isEndedByViolation) return
    }
  }

  /** Judges uses that no change can have met but those that have ended; the others wait. */
  #judge(): void {
    const horizon = Math.min(...this.#underWay)
    const { yes: ended = [], no: waiting = [] } = Object.groupBy(this.#uses, (use) =>
      use.ended < horizon ? 'yes' : 'no',
    )
    this.#uses = waiting
    const { raced, violations } = judge(this.#changes, ended)
    this.#violations.push(...violations)
    this.#judged.uses += ended.length
    this.#judged.raced += raced
  }

  #readThrough(protocol: Protocol, keys: readonly string[]): Promise<void>[] {
    let connection = openConnection(protocol, this.#server.tlsOptions())
    const reader = async () => {
      for (let turn = Math.floor(Math.random() * keys.length); !this.#isOver; turn += 1) {
        const mine = connection
        if (await this.#use(mine, keys[turn % keys.length] ?? '', turn % 3 === 0)) continue
        mine.close()
        if (connection === mine) connection = openConnection(protocol, this.#server.tlsOptions())
        await sleep(10)
      }
      connection.close()
    }
    return Array.from({ length: STREAMS[protocol] }, reader)
  }

  /** @returns whether there was an answer. */
  async #use(connection: Connection, key: string, isDecrypt: boolean): Promise<boolean> {
    const ciphertext = isDecrypt ? this.#ciphertexts.get(key) : undefined
    const verb = ciphertext === undefined ? 'generate' : 'decrypt'
    const body = ciphertext === undefined ? undefined : Buffer.from(JSON.stringify({ ciphertext }))
    const begun = this.#tick()
    let status: number | undefined
    try {
      const reply = await connection.send({
        method: 'PUT',
        path: `/v1/key/${verb}/${key}`,
        headers: {},
        body,
      })
      // A key that was made anew opens nothing old: that says nothing of its state.
      status = reply.status === 400 ? undefined : reply.status
      if (status === 200 && verb === 'generate') {
        this.#ciphertexts.set(key, JSON.parse(reply.rawBody.toString()).ciphertext)
      }
      return true
    } catch {
      return false // Its worker was killed: nobody knows what has become of the request.
    } finally {
      this.#uses.push({ key, begun, ended: this.#tick(), endedAt: this.#now(), status })
      this.#usesOf.set(key, (this.#usesOf.get(key) ?? 0) + 1)
    }
  }

  async #changeSingle(key: string): Promise<void> {
    for (let round = 0; !this.#isOver; round += 1) {
      await this.#usesOfAll([key])
      if (round % 5 === 4) {
        await this.#change([key], true, 'DELETE', `delete/${key}`)
        await this.#usesOfAll([key])
        await this.#change([key], false, 'PUT', `create/${key}?reuse=true`)
      } else {
        await this.#change([key], true, 'PUT', `disable/${key}`)
        await this.#usesOfAll([key])
        await this.#change([key], false, 'PUT', `enable/${key}`)
      }
    }
  }

  async #changeGroup(keys: readonly string[]): Promise<void> {
    while (!this.#isOver) {
      await this.#usesOfAll(keys)
      await this.#change(keys, true, 'PUT', 'disable/group-*')
      await this.#usesOfAll(keys)
      await this.#change(keys, false, 'PUT', 'enable/group-*')
    }
  }

  /** Repeated until it is answered: a worker that is killed takes its requests with it. */
  async #change(keys: readonly string[], locks: boolean, method: string, path: string): Promise<void> {
    const begun = this.#tick()
    this.#underWay.add(begun)
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { status, text } = await this.#ask(method, `/v1/key/${path}`, attempt)
        // After a broken attempt: it had been made, or deleted, already.
        const isDone = status === 200 || (attempt > 0 && (status === 400 || status === 404))
        if (!isDone) throw new Error(`${method} ${path} was answered ${status} ${text}`)
        break
      } catch (error) {
        if (error instanceof Error && error.message.startsWith(method)) throw error
        this.#server.closeConnections()
        await sleep(10)
      }
    }
    const ended = this.#tick()
    const endedAt = this.#now()
    this.#underWay.delete(begun)
    for (const key of keys) this.#changes.push({ key, locks, begun, ended, endedAt })
  }

  /** Every other change goes through the console, which is not in a worker, and so is not killed. */
  async #ask(
    method: string,
    path: string,
    attempt: number,
  ): Promise<{ readonly status: number; readonly text: string }> {
    this.#asked += 1
    if (this.#asked % 2 === 0) return this.#page.send(method, path)
    const protocol = PROTOCOLS[attempt % PROTOCOLS.length] ?? 'h2'
    const { status, rawBody } = await this.#server.request(method, path, { protocol })
    return { status, text: rawBody.toString() }
  }

  /** Waits until some uses have ended of each key. */
  async #usesOfAll(keys: readonly string[]): Promise<void> {
    const wanted = keys.map((key) => [key, (this.#usesOf.get(key) ?? 0) + USES_BETWEEN] as const)
    while (!this.#isOver && wanted.some(([key, count]) => (this.#usesOf.get(key) ?? 0) < count))
      await sleep(1)
  }

  async #killWorkers(): Promise<void> {
    for (let waitedMs = 0; !this.#isOver; waitedMs += 100) {
      await sleep(100)
      if (waitedMs < KILL_INTERVAL_MS) continue
      waitedMs = 0
      const workers = this.#server.workers()
      const pid = workers[Math.floor(Math.random() * workers.length)]
      if (pid === undefined) continue
      process.kill(pid, 'SIGKILL')
      this.#kills += 1
    }
  }

  #now(): Moment {
    return { ms: performance.now(), turn: this.#turn }
  }

  #countTurns(): void {
    this.#turn += 1
    if (!this.#isOver) setTimeout(() => this.#countTurns(), 1)
  }

  #tick(): number {
    this.#clock += 1
    return this.#clock
  }
}

const HELP = `node test/locking/race.ts [--n COUNT]

Uses keys through all workers of a server, while they are locked, resumed and erased, and while workers are killed.
The exit code is 1 if a key was used after its lock was answered, or refused without one.

  --n COUNT   of uses that meet a lock   (default: 20000)
`

if (import.meta.main) {
  process.exitCode = await runDriver(
    {
      help: HELP,
      counts: { n: 20_000 },
      run: ({ n }, progress) =>
        race({
          n,
          onProgress: (raced, changes, violations) =>
            progress(`${raced} of ${n} uses met a lock, ${changes} changes, ${violations} violations`),
        }),
    },
    process.argv.slice(2),
  )
}
