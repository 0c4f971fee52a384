/**
 * Kills servers, and single workers, at random moments under mixed load, and compares what they left with what they had
 * answered: no acknowledged create is lost, no acknowledged disable, enable or erase undone, the store opens every time,
 * and its journal verifies.
 *
 *     node test/locking/crash.ts --kills 10000 --stores 4
 */
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeMemoryFolder } from '../memory-folder.ts'
import { type Connection, openConnection, PROTOCOLS } from '../sandbox/connection.ts'
import { Installation } from '../server-process/installation.ts'
import { JournalReader, statesByJournal } from '../server-process/journal-states.ts'
import type { ServerProcess } from '../server-process/server-process.ts'
import { runDriver } from './driver.ts'

const CLIENTS = 8
/** A server lives so long under load, at most. */
const LIFE_MS = 150
/** After so many lives everything that was ever answered is compared again, and what the journal has got verified. */
const LIVES_BETWEEN_AUDITS = 25

type State = 'gone' | 'enabled' | 'disabled'

export interface CrashResult {
  readonly kills: number
  readonly lives: number
  /** Changes that were answered. */
  readonly answered: number
  /** Changes whose connection broke, so that they may have happened or not. */
  readonly unanswered: number
  readonly violations: readonly string[]
}

export interface CrashOptions {
  readonly kills: number
  /** How many live and die at a time. Every second one has two worker processes. */
  readonly stores: number
  /** Called after each life. */
  readonly onProgress?: (kills: number, violations: number) => void
}

export async function crash({ kills, stores, onProgress = () => {} }: CrashOptions): Promise<CrashResult> {
  // A kill takes nothing that was written, be it on a disk or not; without one, more happens until it comes.
  const folder = makeMemoryFolder()
  try {
    const books: Book[] = []
    for (let number = 0; number < stores; number += 1) {
      const workers = 1 + (number % 2)
      books.push(new Book(await Installation.make({ under: folder, workers, audit: { stdout: 'off' } })))
    }
    const sum = (read: (book: Book) => number) => books.reduce((total, book) => total + read(book), 0)
    let done = 0
    const run = async (book: Book) => {
      while (done < kills) {
        const killed = await book.live() // Not in one expression: the others count meanwhile.
        done += killed
        onProgress(
          done,
          sum(({ violations }) => violations.length),
        )
      }
      await book.audit()
    }
    await Promise.all(books.map(run))
    return {
      kills: done,
      lives: sum(({ lives }) => lives),
      answered: sum(({ answered }) => answered),
      unanswered: sum(({ unanswered }) => unanswered),
      violations: books.flatMap(({ violations }) => violations),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What is known of the keys of one store. */
class Book {
  readonly violations: string[] = []
  lives = 0
  answered = 0
  unanswered = 0
  readonly #installation: Installation
  #journal: JournalReader | undefined
  /** What each key may be: more than one thing only after a change that was not answered. */
  readonly #possible = new Map<string, ReadonlySet<State>>()

  constructor(installation: Installation) {
    this.#installation = installation
  }

  /** Starts the server, checks what it finds, loads it, and kills it. @returns how many processes were killed. */
  async live(): Promise<number> {
    this.lives += 1
    const life = this.lives
    await using server = await this.#installation.start()
    if (life % LIVES_BETWEEN_AUDITS === 0) await this.#compareWithJournal(server)
    else await this.#compare(server, `k${life - 1}-`)
    let isOver = false
    const clients = Array.from({ length: CLIENTS }, (_, client) =>
      this.#load(server, `k${life}-${client}`, PROTOCOLS[client % PROTOCOLS.length] ?? 'h2', () => isOver),
    )
    const before = this.answered
    while (this.answered === before) await sleep(1)
    await sleep(Math.random() * LIFE_MS)
    let kills = 1
    const [worker] = server.workers()
    if (worker !== undefined) {
      process.kill(worker, 'SIGKILL')
      kills += 1
      await sleep(Math.random() * LIFE_MS)
    }
    server.kill('SIGKILL')
    isOver = true
    await server.ended
    server.closeConnections()
    await Promise.all(clients)
    return kills
  }

  /** At the end: the journal from its first entry on. */
  async audit(): Promise<void> {
    await using server = await this.#installation.start()
    await this.#compareAll(server, await statesByJournal(server, this.#publicKeyFile))
    await server.stop()
  }

  /** Makes keys and changes them, each in an order of its own. */
  async #load(
    server: ServerProcess,
    prefix: string,
    protocol: (typeof PROTOCOLS)[number],
    isOver: () => boolean,
  ): Promise<void> {
    let connection = openConnection(protocol, server.tlsOptions())
    for (let count = 0; !isOver(); count += 1) {
      const name = `${prefix}-${count}`
      try {
        await this.#change(connection, name, 'PUT', 'create', 'enabled')
        for (let round = 0; round < 3; round += 1) {
          if (Math.random() < 0.5) await this.#change(connection, name, 'PUT', 'disable', 'disabled')
          if (Math.random() < 0.5) await this.#change(connection, name, 'PUT', 'enable', 'enabled')
        }
        if (Math.random() < 0.3) await this.#change(connection, name, 'DELETE', 'delete', 'gone')
      } catch {
        this.unanswered += 1
        connection.close()
        await sleep(5)
        connection = openConnection(protocol, server.tlsOptions())
      }
    }
    connection.close()
  }

  /** @throws if there is no answer. */
  async #change(
    connection: Connection,
    name: string,
    method: string,
    verb: string,
    after: State,
  ): Promise<void> {
    const before = this.#possible.get(name) ?? new Set<State>(['gone'])
    this.#possible.set(name, new Set([...before, after]))
    const path = `/v1/key/${verb}/${name}`
    const { status } = await connection.send({ method, path, headers: {}, body: undefined })
    this.answered += 1
    if (status !== 200) this.violations.push(`${method} ${path} was answered ${status}`)
    else this.#possible.set(name, new Set([after]))
  }

  get #publicKeyFile(): string {
    return `${this.#installation.storeFile}.journal.pub`
  }

  async #compareWithJournal(server: ServerProcess): Promise<void> {
    this.#journal ??= new JournalReader(this.#publicKeyFile)
    await this.#journal.readOn(server)
    await this.#compareAll(server, this.#journal.states)
  }

  async #compareAll(server: ServerProcess, states: ReadonlyMap<string, string>): Promise<void> {
    await this.#compare(server, 'k')
    for (const [name, state] of await this.#statesByList(server, 'k')) {
      if (states.get(name) !== state) {
        this.violations.push(`'${name}' is ${state}, and by the journal ${states.get(name) ?? 'gone'}`)
      }
    }
  }

  async #compare(server: ServerProcess, prefix: string): Promise<void> {
    const found = await this.#statesByList(server, prefix)
    for (const [name, possible] of this.#possible) {
      if (!name.startsWith(prefix)) continue
      const [state = 'gone'] = (found.get(name)?.split(' ') ?? []) as State[]
      if (!possible.has(state)) {
        this.violations.push(`'${name}' is ${state}, but was answered to be ${[...possible].join(' or ')}`)
      }
      this.#possible.set(name, new Set([state]))
    }
  }

  /** State and revision, by name. */
  async #statesByList(server: ServerProcess, prefix: string): Promise<Map<string, string>> {
    const states = new Map<string, string>()
    for (let pattern: string | undefined = `${prefix}*`; pattern !== undefined; ) {
      const { rawBody } = await server.request('GET', `/v1/key/list/${pattern}?details=true`)
      const { keys, continue_at } = JSON.parse(rawBody.toString()) as {
        readonly keys: readonly { readonly name: string; readonly state: string; readonly revision: number }[]
        readonly continue_at?: string
      }
      for (const { name, state, revision } of keys) states.set(name, `${state} ${revision}`)
      pattern = continue_at
    }
    return states
  }
}

const HELP = `node test/locking/crash.ts [--kills COUNT] [--stores COUNT]

Kills servers and workers while keys are made, changed and erased, and compares what they left with what they had
answered. The exit code is 1 if anything that was answered is not so.

  --kills COUNT    of processes                     (default: 100)
  --stores COUNT   that live and die at a time      (default: 4)
`

if (import.meta.main) {
  const startedMs = performance.now()
  process.exitCode = await runDriver(
    {
      help: HELP,
      counts: { kills: 100, stores: 4 },
      run: ({ kills, stores }, progress) =>
        crash({
          kills,
          stores,
          onProgress(done, violations) {
            const seconds = Math.round((performance.now() - startedMs) / 1000)
            progress(`${done} of ${kills} kills in ${seconds} s, ${violations} violations`)
          },
        }),
    },
    process.argv.slice(2),
  )
}
