/**
 * Every sequence of changes of a key, against a server that is stopped and killed between and in the middle of them.
 *
 * Each sequence has a name of its own, so all of them go on at once: in a round every name gets its next change, then
 * something befalls the server, then each name is looked at from all sides. What a killed server has not answered may have
 * happened or not, and is asked for again; what it has answered must have happened. `MODEL_LENGTH` is the length of the sequences (9 to that power of them),
 * `MODEL_ROUNDS` the kinds of runs.
 */
import { createPublicKey, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { decodeEntry } from '../../packages/kes-server/src/journal/entry.ts'
import { JournalVerifier } from '../../packages/kes-server/src/journal/verify.ts'
import { type Connection, openConnection, type Reply } from '../sandbox/connection.ts'
import { Installation } from '../server-process/installation.ts'
import type { ServerProcess } from '../server-process/server-process.ts'
import {
  type Answer,
  afterDeletions,
  afterSilence,
  answerToUse,
  BEGINNING,
  CHANGES,
  type Change,
  described,
  type Life,
  stepsFrom,
} from './key-life-model.ts'

const LENGTH = Number(process.env.MODEL_LENGTH ?? 3)
const AT_ONCE = 100
const SETTLED_MS = 30_000

/** What befalls the server in a round. */
type Event = 'nothing' | 'stop' | 'kill' | 'kill in the middle'

interface Run {
  readonly hasWaitingPeriod: boolean
  /** One a round, and from the first again. */
  readonly events: readonly Event[]
}

const RUNS: readonly Run[] = [
  { hasWaitingPeriod: false, events: ['kill in the middle', 'stop', 'kill'] },
  { hasWaitingPeriod: true, events: ['nothing', 'kill in the middle', 'kill'] },
  { hasWaitingPeriod: false, events: ['nothing', 'kill in the middle', 'kill in the middle'] },
  { hasWaitingPeriod: false, events: ['kill', 'nothing', 'stop'] },
  { hasWaitingPeriod: true, events: ['kill in the middle'] },
].slice(0, Number(process.env.MODEL_RUNS ?? 2)) as Run[]

/** A name and its sequence, and what it may be now: more than one thing only after a kill. */
interface Subject {
  readonly name: string
  readonly changes: readonly Change[]
  lives: readonly Life[]
  readonly ciphertexts: { readonly ciphertext: string; readonly incarnation: number }[]
}

test.each(RUNS)(
  'after every sequence of changes a key is as the model says, with %o',
  async ({ hasWaitingPeriod, events }) => {
    using installation = await Installation.make(hasWaitingPeriod ? { waitingPeriod: '7d' } : {})
    const walk = new Walk(installation, hasWaitingPeriod)
    await walk.start()
    for (let round = 0; round < LENGTH; round += 1) {
      await walk.round(round, events[round % events.length] ?? 'nothing')
    }
    await walk.compareJournal()
    await walk.stop()
    const { sequences, states, transitions, kills } = walk.visited()
    console.log(
      `${sequences} sequences of ${LENGTH} changes: ${states} states and ${transitions} transitions visited, ` +
        `${kills} kills, ${walk.unansweredChanges} changes never answered`,
    )
    expect(states).toBeGreaterThan(LENGTH)
  },
  600_000 * LENGTH,
)

class Walk {
  unansweredChanges = 0
  readonly #installation: Installation
  readonly #hasWaitingPeriod: boolean
  readonly #subjects: readonly Subject[]
  readonly #states = new Set<string>()
  readonly #transitions = new Set<string>()
  #kills = 0
  #server: ServerProcess | undefined
  #connection: Connection | undefined

  constructor(installation: Installation, hasWaitingPeriod: boolean) {
    this.#installation = installation
    this.#hasWaitingPeriod = hasWaitingPeriod
    this.#subjects = sequencesOf(LENGTH).map((changes, index) => ({
      name: `key-${index}`,
      changes,
      lives: [BEGINNING],
      ciphertexts: [],
    }))
  }

  async start(): Promise<void> {
    this.#server = await this.#installation.start()
    this.#connection = openConnection('h2', this.#server.tlsOptions())
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#connection?.close()
    this.#running.kill(signal)
    await this.#running.ended
  }

  /** Not by {@link ServerProcess.request}, which keeps every secret to look for it in the logs: there are too many. */
  #send(method: string, path: string, body?: object): Promise<Reply> {
    if (this.#connection === undefined) throw new Error('no server runs')
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    return this.#connection.send({ method, path, headers: {}, body: bytes })
  }

  get #running(): ServerProcess {
    if (this.#server === undefined) throw new Error('no server runs')
    return this.#server
  }

  async round(round: number, event: Event): Promise<void> {
    const killAt =
      event === 'kill in the middle' ? Math.floor(this.#subjects.length / 2) : Number.POSITIVE_INFINITY
    let answered = 0
    const unanswered: Subject[] = []
    await eachAtOnce(this.#subjects, async (subject) => {
      const change = changeOf(subject, round)
      const reply = await this.#change(subject.name, change).catch(() => undefined)
      if (reply === undefined && event !== 'kill in the middle') throw new Error(`${change} was not answered`)
      this.#conclude(subject, change, reply && answerOf(reply), event)
      if (reply === undefined) unanswered.push(subject)
      answered += 1
      if (answered === killAt) {
        this.#kills += 1
        this.#running.kill('SIGKILL')
      }
    })
    if (event === 'kill') this.#kills += 1
    if (event !== 'nothing') await this.stop(event === 'stop' ? 'SIGTERM' : 'SIGKILL')
    if (event !== 'nothing') await this.start()
    await this.#awaitDeletions()
    // As a client would, who does not know whether it has happened. So no sequence misses a change.
    await eachAtOnce(unanswered, async (subject) => {
      const change = changeOf(subject, round)
      this.#conclude(subject, change, answerOf(await this.#change(subject.name, change)), 'repeated')
    })
    await this.#awaitDeletions()
    await eachAtOnce(this.#subjects, (subject) => this.#look(subject))
  }

  #change(name: string, change: Change): Promise<Reply> {
    const put = (path: string, body?: object) => this.#send('PUT', `/v1/key/${path}`, body)
    const erase = (query: string) => this.#send('DELETE', `/v1/key/delete/${name}${query}`)
    switch (change) {
      case 'create':
        return put(`create/${name}`)
      case 'reuse':
        return put(`create/${name}?reuse=true`)
      case 'import':
        return put(`import/${name}`, { key: randomBytes(32).toString('base64'), cipher: 'AES256' })
      case 'enable':
      case 'disable':
        return put(`${change}/${name}`)
      case 'cancel':
        return put(`cancel-deletion/${name}`)
      case 'delete':
        return erase('')
      case 'delete in a week':
        return erase('?after=7d')
      case 'delete soon':
        return erase('?after=1ms')
    }
  }

  /** What the name may be after the answer, or after none. */
  #conclude(subject: Subject, change: Change, answer: Answer | undefined, event: Event | 'repeated'): void {
    const { lives, name } = subject
    if (answer === undefined) {
      this.unansweredChanges += 1
      subject.lives = lives.flatMap((life) => afterSilence(life, change, this.#hasWaitingPeriod))
      return
    }
    const steps = lives
      .flatMap((life) => stepsFrom(life, change, this.#hasWaitingPeriod).map((step) => ({ life, ...step })))
      .filter((step) => isSame(step.answer, answer))
    if (steps.length === 0) {
      throw new Error(`${change} of ${name} answered ${show(answer)}, and it was ${show(lives)}`)
    }
    subject.lives = steps.map(({ next }) => next)
    for (const { life } of steps) {
      this.#transitions.add(`${stateOf(life)} ${change} ${answer.status} ${answer.code} ${event}`)
    }
  }

  /** Until the server has erased what is due, also what may be due. */
  async #awaitDeletions(): Promise<void> {
    const deadlineMs = performance.now() + SETTLED_MS
    await eachAtOnce(this.#subjects, async (subject) => {
      if (!subject.lives.some(({ phase, isSoon }) => phase === 'pending' && isSoon)) return
      while (await this.#isDueSoon(subject.name)) {
        if (performance.now() > deadlineMs) throw new Error(`${subject.name} was not erased in time`)
        await delay(100)
      }
      subject.lives = subject.lives.map(afterDeletions)
    })
  }

  async #isDueSoon(name: string): Promise<boolean> {
    const reply = await this.#send('GET', `/v1/key/describe/${name}`)
    if (reply.status !== 200) return false
    const { state, deletion_at, changed_at } = JSON.parse(reply.rawBody.toString())
    return state === 'pending' && Date.parse(deletion_at) - Date.parse(changed_at) < 60_000
  }

  /** Compares the name with the model from all sides; what it may have been and is not is forgotten. */
  async #look(subject: Subject): Promise<void> {
    const { name, ciphertexts } = subject
    const use = (api: string, body: object) => this.#send('PUT', `/v1/key/${api}/${name}`, body)
    const seen = describedBy(await this.#send('GET', `/v1/key/describe/${name}`))
    const generated = await use('generate', {})
    const decrypted = await Promise.all(ciphertexts.map(({ ciphertext }) => use('decrypt', { ciphertext })))
    const matching = subject.lives.filter(
      (life) =>
        isSame(described(life), seen) &&
        isSame(answerToUse(life, undefined), answerOf(generated)) &&
        ciphertexts.every(({ incarnation }, index) => {
          const reply = decrypted[index]
          return reply !== undefined && isSame(answerToUse(life, incarnation), answerOf(reply))
        }),
    )
    const [life] = matching
    if (life === undefined) {
      const answers = [generated, ...decrypted].map(answerOf)
      throw new Error(
        `${name} is ${show(seen)}, its uses answer ${show(answers)}, and it was ${show(subject.lives)}`,
      )
    }
    subject.lives = matching
    for (const each of matching) this.#states.add(stateOf(each))
    if (generated.status !== 200) return
    const { ciphertext } = JSON.parse(generated.rawBody.toString())
    ciphertexts.push({ ciphertext, incarnation: life.incarnation })
  }

  /** The journal verifies, and has each name's changes that took place, and no other. */
  async compareJournal(): Promise<void> {
    const get = async (path: string) => JSON.parse((await this.#send('GET', path)).rawBody.toString())
    const { public_key } = await get('/v1/journal/head')
    const verifier = new JournalVerifier(createPublicKey(public_key))
    const histories = new Map<string, string[]>()
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: { entries: Record<'entry' | 'signature' | 'name', string>[]; continue_at?: number } =
        await get(`/v1/journal/entries?after=${after}`)
      for (const { entry, signature } of page.entries) {
        const bytes = Buffer.from(entry, 'base64')
        verifier.next({ bytes, signature: Buffer.from(signature, 'base64') })
        const { name, action } = decodeEntry(bytes)
        histories.set(name, [...(histories.get(name) ?? []), action])
      }
      after = page.continue_at
    }
    verifier.end()
    for (const { name, lives } of this.#subjects) {
      expect(lives.map(({ history }) => history)).toContainEqual(histories.get(name) ?? [])
    }
  }

  visited(): { sequences: number; states: number; transitions: number; kills: number } {
    return {
      sequences: this.#subjects.length,
      states: this.#states.size,
      transitions: this.#transitions.size,
      kills: this.#kills,
    }
  }
}

function changeOf({ changes }: Subject, round: number): Change {
  const change = changes[round]
  if (change === undefined) throw new Error('the sequence is too short')
  return change
}

function sequencesOf(length: number): Change[][] {
  if (length === 0) return [[]]
  return sequencesOf(length - 1).flatMap((start) => CHANGES.map((change) => [...start, change]))
}

async function eachAtOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = items.values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of left) await work(item)
    }),
  )
}

function answerOf({ status, rawBody }: Reply): Answer {
  return status === 200 ? { status } : { status, code: JSON.parse(rawBody.toString()).code }
}

function describedBy(reply: Reply): ReturnType<typeof described> {
  if (reply.status !== 200) return undefined
  const { state, revision } = JSON.parse(reply.rawBody.toString())
  return { state, revision }
}

function stateOf({ phase, incarnation, revision }: Life): string {
  return `${phase} ${incarnation} ${revision}`
}

function show(value: unknown): string {
  return JSON.stringify(value)
}

function isSame(a: object | undefined, b: object | undefined): boolean {
  return show(a) === show(b)
}
