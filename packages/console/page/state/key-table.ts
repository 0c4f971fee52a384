/**
 * All keys of the server, as they are now: states from the watch, the other facts from the list.
 *
 * Rows are kept in a map that signals nothing; `version` moves a few times a second at most, however many
 * have changed.
 */
import { signal } from '@preact/signals'
import { explainError } from '../net/api-error.ts'
import { follow, type StreamState } from '../net/follow.ts'
import { describeKey, type KeyDetails, listKeys } from '../net/key-server.ts'
import type { Requests } from '../net/session.ts'
import { parseTime } from '../text/format.ts'
import { seldom } from './seldom.ts'

export interface KeyRow {
  readonly name: string
  readonly state: string
  readonly createdAt?: number | undefined
  readonly createdBy?: string | undefined
  readonly changedAt?: number | undefined
  readonly changedBy?: string | undefined
  readonly deletionAt?: number | undefined
  readonly lastUsedAt?: number | undefined
  readonly algorithm?: string | undefined
  readonly revision?: number | undefined
}

/** A line of `/v1/key/watch/`. */
interface WatchLine {
  readonly event: 'snapshot' | 'snapshot-end' | 'change' | 'heartbeat'
  readonly name?: string
  readonly state?: string
  readonly deletion_at?: string
}

/** A heartbeat comes each 5 s. */
const SILENCE_MS_MAX = 20_000
/** So many keys that changed at once are asked for one by one; if there are more, all are listed. */
const DESCRIBED_MAX = 8
/** Changes of one transaction come in a row, and are asked for together. */
const GATHER_MS = 100
/** The table is drawn so often at most. */
const DRAW_MS = 200

export class KeyTable {
  readonly version = signal(0)
  readonly watch = signal<StreamState>({ kind: 'connecting' })
  /** Why there is no list; undefined as long as there is no reason. */
  readonly problem = signal<string | undefined>(undefined)
  readonly isListed = signal(false)
  readonly #rows = new Map<string, KeyRow>()
  readonly #session: Requests
  readonly #changed = new Set<string>()
  readonly #signalChange = seldom(DRAW_MS, () => {
    this.version.value++
  })
  /** Names of the snapshot that is being read; undefined outside of one. */
  #snapshot: Set<string> | undefined
  #isGathering = false
  #isListing = false
  #isListAsked = false

  constructor(session: Requests) {
    this.#session = session
  }

  get(name: string): KeyRow | undefined {
    return this.#rows.get(name)
  }

  rows(): IterableIterator<KeyRow> {
    return this.#rows.values()
  }

  /** Until the session ends. */
  async start(): Promise<void> {
    await follow(this.#session, {
      path: '/v1/key/watch/',
      silenceMsMax: SILENCE_MS_MAX,
      onState: (state) => {
        this.watch.value = state
        if (state.kind === 'refused') void this.refresh()
      },
      onOpen: () => {
        this.#snapshot = new Set()
      },
      onLines: (lines) => this.#take(lines),
    })
  }

  /** Lists all keys anew; where a list is under way, after it, because that may have begun too early. */
  async refresh(): Promise<void> {
    this.#isListAsked = true
    if (this.#isListing) return
    this.#isListing = true
    while (this.#isListAsked) {
      this.#isListAsked = false
      await this.#list()
    }
    this.#isListing = false
  }

  /** To be called after a change of one's own: where nothing is watched, nobody else tells of it. */
  noteChange(): void {
    if (!this.#isWatched) void this.refresh()
  }

  async #list(): Promise<void> {
    const listed = new Set<string>()
    try {
      for await (const page of listKeys(this.#session)) {
        for (const key of page) {
          listed.add(key.name)
          this.#merge(key)
        }
        this.#signalChange()
      }
      if (!this.#isWatched) this.#keepOnly(listed)
      this.isListed.value = true
      this.problem.value = undefined
    } catch (error) {
      if (!this.#session.ended.aborted) this.problem.value = explainError(error)
    }
  }

  /** A use that the audit log tells of, before the next list does. */
  noteUse(name: string, time: number): void {
    const row = this.#rows.get(name)
    if (row === undefined || (row.lastUsedAt ?? 0) >= time) return
    this.#rows.set(name, { ...row, lastUsedAt: time })
    this.#signalChange()
  }

  get #isWatched(): boolean {
    return this.watch.value.kind === 'open'
  }

  #take(lines: readonly string[]): void {
    for (const line of lines) this.#takeOne(JSON.parse(line) as WatchLine)
    this.#signalChange()
  }

  #takeOne({ event, name, state = 'unknown', deletion_at }: WatchLine): void {
    if (event === 'snapshot-end' && this.#snapshot !== undefined) {
      this.#keepOnly(this.#snapshot)
      this.#snapshot = undefined
      void this.refresh()
    }
    if (name === undefined) return
    this.#snapshot?.add(name)
    const before = this.#rows.get(name)
    // What an erased key's successor is like has nothing to do with the erased one.
    const kept = before?.state === 'erased' && state !== 'erased' ? undefined : before
    const deletionAt = state === 'pending' ? (parseTime(deletion_at) ?? kept?.deletionAt) : undefined
    this.#rows.set(name, { ...kept, name, state, deletionAt })
    if (event === 'change') this.#gather(name)
  }

  /** What was erased while the page watched stays in sight; what vanished otherwise was erased unseen. */
  #keepOnly(names: ReadonlySet<string>): void {
    for (const [name, row] of this.#rows) {
      if (!names.has(name) && row.state !== 'erased') this.#rows.delete(name)
    }
    this.#signalChange()
  }

  #merge(key: KeyDetails): void {
    const before = this.#rows.get(key.name)
    // The watch is ahead of a list that was read before it.
    const isAhead = before !== undefined && this.#isWatched
    const lastUsedAt = Math.max(parseTime(key.last_used_at) ?? 0, before?.lastUsedAt ?? 0)
    this.#rows.set(key.name, {
      name: key.name,
      state: isAhead ? before.state : key.state,
      createdAt: parseTime(key.created_at),
      createdBy: key.created_by,
      changedAt: parseTime(key.changed_at),
      changedBy: key.changed_by,
      deletionAt: isAhead && before.state !== 'pending' ? undefined : parseTime(key.deletion_at),
      lastUsedAt: lastUsedAt === 0 ? undefined : lastUsedAt,
      algorithm: key.algorithm,
      revision: key.revision,
    })
  }

  #gather(name: string): void {
    this.#changed.add(name)
    if (this.#isGathering) return
    this.#isGathering = true
    setTimeout(() => {
      this.#isGathering = false
      void this.#askForChanged()
    }, GATHER_MS)
  }

  async #askForChanged(): Promise<void> {
    const names = [...this.#changed]
    this.#changed.clear()
    if (names.length > DESCRIBED_MAX) return await this.refresh()
    for (const name of names) {
      if (this.#rows.get(name)?.state === 'erased') continue
      try {
        this.#merge(await describeKey(this.#session, name))
        this.#signalChange()
      } catch {
        // Its state is known from the watch; who may not describe it sees only that.
      }
    }
  }
}
