/**
 * The one writer of a server's audit files. Lines are chained in the order in which they come, and written in batches:
 * while one is on its way to the disk, the next one gathers.
 *
 * A disk that is full or fails stops neither the server nor the chain: what could not be written is refused, and
 * writing is tried again until it works.
 */
import { appendFileSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { AuditFileConfig } from '../config/config.ts'
import { isDiskFull } from '../disk/disk-full.ts'
import { reasonOf } from '../reason.ts'
import { AuditFile, type OpenFile } from './audit-file.ts'
import { AuditFiles, HEADER_BYTES_MAX, readBytes, readTail, type Tail } from './audit-files.ts'
import { AuditOpenError } from './audit-open-error.ts'
import { BEFORE_FIRST, chainLine, type Link } from './chain.ts'
import type { AuditHead, HeadEvent } from './head.ts'
import { headerFields, noteFields } from './lines.ts'

/** What the writer needs of the rest of the server. */
export interface AuditSurroundings {
  /** Hex. */
  readonly storeId: string
  /** Space on the disk of the audit files. */
  readonly reserve: SpareSpace | undefined
  readonly lastHead: AuditHead | undefined
  /** See {@link KeyStore.whenWritable}: of the journal's disk. */
  readonly whenWritable: () => Promise<void> | undefined
  /** Signs a head into the journal, or throws. */
  readonly recordHead: (head: AuditHead) => void
  readonly notices: Notices
  /** For tests: `open` of `node:fs/promises`. */
  readonly openFile?: OpenFile
}

export interface SpareSpace {
  readonly isThere: boolean
  spend(): boolean
}

export interface Notices {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** Where audit lines go; in a worker process, to the writer in another one. */
export interface AuditSink {
  /** False while lines can't be written, or only those for which the last space is kept. */
  readonly isAccepting: boolean
  /**
   * @param lines - the members of a JSON object each, without braces.
   * @returns a promise that is fulfilled when all of them are on the disk, and rejects if none of them counts. Calls
   *   are settled in their order.
   */
  append(lines: readonly string[]): Promise<void>
}

interface Waiting {
  readonly lines: readonly string[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** A batch ends with the call that reaches this. */
const BATCH_CHARACTERS_MAX = 512 * 1024
const RETRY_MS = 1000
/** A batch that takes longer says that the disk is slow, and so for a while after it has ended. */
const SLOW_BATCH_MS = 200
const SLOW_MS = 1000
const VERIFY = "verify it with 'kes audit verify'"
const ROTATION_RETRY_MS = 60_000

export class AuditWriter implements AuditSink {
  readonly #options: AuditFileConfig
  readonly #surroundings: AuditSurroundings
  readonly #files: AuditFiles
  readonly #openFile: OpenFile
  #file: AuditFile
  /** The last line that is on the disk. */
  #last: Link
  #signedSeq: number
  #signedMs = performance.now()
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  #problem: unknown
  /** Of the batch under way; Infinity if there is none. */
  #batchStartedMs = Number.POSITIVE_INFINITY
  #slowUntilMs = 0
  #hasHeadProblem = false
  #isClosed = false
  #rotationRetryMs = 0
  readonly #timers: NodeJS.Timeout[]

  private constructor(
    options: AuditFileConfig,
    surroundings: AuditSurroundings,
    files: AuditFiles,
    file: AuditFile,
    last: Link,
  ) {
    this.#options = options
    this.#surroundings = surroundings
    this.#files = files
    this.#openFile = surroundings.openFile ?? open
    this.#file = file
    this.#last = last
    this.#signedSeq = surroundings.lastHead?.seq ?? 0
    this.#timers = [
      setInterval(() => void this.#signHeadLater('time'), options.headIntervalMs),
      setInterval(() => this.#tryAgain(), RETRY_MS),
    ]
    for (const timer of this.#timers) timer.unref()
  }

  /**
   * Goes on where the last server ended, or begins the first file.
   *
   * @throws {@link AuditOpenError} with one line for the operator.
   */
  static async open(options: AuditFileConfig, surroundings: AuditSurroundings): Promise<AuditWriter> {
    const files = new AuditFiles(options.path)
    try {
      const { file, last, torn } = await resume(files, surroundings)
      const writer = new AuditWriter(options, surroundings, files, file, last)
      await writer.#begin(torn)
      return writer
    } catch (error) {
      throw error instanceof AuditOpenError ? error : AuditOpenError.of(options.path, error)
    }
  }

  get isAccepting(): boolean {
    return this.#problem === undefined && this.#surroundings.reserve?.isThere !== false
  }

  /** Whether lines may have waited for the disk for the last second. */
  get isSlow(): boolean {
    const nowMs = performance.now()
    return nowMs < this.#slowUntilMs || nowMs - this.#batchStartedMs > SLOW_BATCH_MS
  }

  /** Events on the disk that no head in the journal covers yet. */
  get unsignedEvents(): number {
    return this.#last.seq - this.#signedSeq
  }

  /** Grows also while there is nothing new to sign. */
  get headAgeSeconds(): number {
    return (performance.now() - this.#signedMs) / 1000
  }

  append(lines: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ lines, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Writes what waits, signs the last head and closes the file. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#running
    this.#isClosed = true
    this.#signHead('close')
    await this.#file.close()
  }

  /** The first line of this run, and the head that says where it stands. */
  async #begin(torn: number): Promise<void> {
    const isNew = this.#file.bytes === 0
    const lines = isNew
      ? [this.#header(this.#file.number)]
      : [noteFields('INFO', 'audit file continued', torn === 0 ? {} : { torn_bytes: torn })]
    await this.#commit(lines)
    if (isNew) this.#files.syncFolder()
    this.#signHead('open', torn)
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      this.#batchStartedMs = performance.now()
      try {
        if (this.#isRotationDue()) await this.#rotate()
        await this.#commit(batch.flatMap(({ lines }) => lines))
        this.#recovered()
        for (const { resolve } of batch) resolve()
      } catch (error) {
        this.#failed(error)
        for (const { reject } of batch) reject(error)
      }
      if (this.isSlow) this.#slowUntilMs = performance.now() + SLOW_MS
      this.#batchStartedMs = Number.POSITIVE_INFINITY
    }
    this.#running = undefined
  }

  #takeBatch(): Waiting[] {
    let characters = 0
    const end = this.#waiting.findIndex(({ lines }) => {
      for (const line of lines) characters += line.length
      return characters >= BATCH_CHARACTERS_MAX
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end + 1)
  }

  /** Chains the lines and writes them; the chain has moved on only if they are on the disk. */
  async #commit(lines: readonly string[]): Promise<void> {
    const { bytes, last } = chain(this.#last, lines)
    try {
      await this.#file.append(bytes)
    } catch (error) {
      if (!isDiskFull(error) || !this.#surroundings.reserve?.spend()) throw error
      await this.#file.append(bytes)
    }
    this.#last = last
  }

  #failed(error: unknown): void {
    if (this.#problem === undefined) {
      const refused = 'the audit file can not be written, so keys can not be used'
      this.#surroundings.notices.error(`${refused}: ${reasonOf(error)}`)
    }
    this.#problem = error
  }

  #recovered(): void {
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.#surroundings.notices.info('the audit file can be written again')
  }

  #tryAgain(): void {
    if (this.#problem === undefined || this.#waiting.length > 0) return
    // Should it fail, it is tried again; what could not be written is known already.
    this.append([noteFields('INFO', 'audit file written again', {})]).catch(() => {})
  }

  /** When the disk of the journal takes a write: it is not waited for inside of one. */
  async #signHeadLater(event: HeadEvent): Promise<void> {
    const isIdle = () => event === 'time' && this.#last.seq === this.#signedSeq
    if (isIdle()) return
    const opening = this.#surroundings.whenWritable()
    try {
      if (opening !== undefined) await opening
    } catch (error) {
      this.#headFailed(error)
      return
    }
    if (!this.#isClosed && !isIdle()) this.#signHead(event)
  }

  #signHead(event: HeadEvent, torn = 0): void {
    const { recordHead } = this.#surroundings
    try {
      recordHead({ ...this.#last, event, file: this.#files.nameOf(this.#file.number), torn })
      this.#signedSeq = this.#last.seq
      this.#signedMs = performance.now()
      this.#hasHeadProblem = false
    } catch (error) {
      this.#headFailed(error)
    }
  }

  #headFailed(error: unknown): void {
    const problem = `the head of the audit file could not be signed: ${reasonOf(error)}`
    if (!this.#hasHeadProblem) this.#surroundings.notices.error(problem)
    this.#hasHeadProblem = true
  }

  #isRotationDue(): boolean {
    if (performance.now() < this.#rotationRetryMs) return false
    const { maxBytes, maxAgeMs } = this.#options
    return this.#file.bytes >= maxBytes || Date.now() - this.#file.openedMs >= maxAgeMs
  }

  /** Begins the next file. Should that fail, the old one goes on. */
  async #rotate(): Promise<void> {
    const number = this.#file.number + 1
    const old = this.#file
    try {
      const { bytes, last } = chain(this.#last, [this.#header(number), ...this.#removalNotes(number)])
      this.#file = await beginFile(this.#files, number, bytes, this.#openFile)
      this.#last = last
      await old.close()
    } catch (error) {
      const what =
        this.#file === old ? 'no new audit file could be begun' : 'the last audit file was not closed'
      this.#surroundings.notices.warn(`${what}: ${reasonOf(error)}`)
      this.#rotationRetryMs = performance.now() + ROTATION_RETRY_MS
    }
    if (this.#file === old) return
    void this.#signHeadLater('rotate') // The batch that has begun the file does not wait for another disk.
    for (const each of this.#superfluous(number)) rmSync(this.#files.pathOf(each), { force: true })
  }

  #header(number: number): string {
    const { storeId } = this.#surroundings
    return headerFields({ store: storeId, file: this.#files.nameOf(number), previous: this.#last.hash })
  }

  /** Files that are too many once there is this one. */
  #superfluous(number: number): number[] {
    const { keep } = this.#options
    const older = this.#files.numbers().filter((each) => each < number)
    return keep === undefined ? [] : older.slice(0, Math.max(0, older.length - (keep - 1)))
  }

  /** Which lines the chain says to be gone: they are removed only once it does. */
  #removalNotes(number: number): string[] {
    const newest = this.#superfluous(number).at(-1)
    const last = newest === undefined ? undefined : readTail(this.#files.pathOf(newest))?.last
    if (last === undefined) return []
    return [noteFields('INFO', 'audit files removed', { removed_up_to: last.seq })]
  }
}

function chain(from: Link, lines: readonly string[]): { readonly bytes: Buffer; readonly last: Link } {
  let last = from
  let text = ''
  for (const fields of lines) {
    const line = chainLine(last, fields)
    text += line.text
    last = line.link
  }
  return { bytes: Buffer.from(text), last }
}

interface Resumed {
  readonly file: AuditFile
  readonly last: Link
  /** Bytes that were set aside. */
  readonly torn: number
}

/** Finds the end of the chain, on which the journal's last head and the files must agree. */
async function resume(files: AuditFiles, surroundings: AuditSurroundings): Promise<Resumed> {
  const { lastHead: head, notices, storeId, openFile = open } = surroundings
  const found = lastWholeFile(files, head, notices)
  if (found !== undefined && found.tail.header.store !== storeId) {
    throw new AuditOpenError(
      files.pathOf(found.number),
      'it belongs to another key store, so configure another path',
    )
  }
  const number = Math.max(0, ...files.numbers())
  const last = found?.tail.last ?? BEFORE_FIRST
  const isBehind = head !== undefined && last.seq < head.seq
  if (isBehind) {
    const missing = `events ${last.seq + 1} to ${head.seq} are not in the audit files`
    notices.error(`${missing}, which were removed or changed: ${VERIFY}`)
  } else if (found?.tail.hasExpected === false) {
    notices.error(`the audit file '${files.nameOf(found.number)}' was changed: ${VERIFY}`)
  }
  if (found === undefined || isBehind || found.number !== number) {
    const next = Math.max(number, (head && files.numberOf(head.file)) ?? 0) + 1
    return { file: await createFile(files, next, openFile), last: isBehind ? head : last, torn: 0 }
  }

  const { tail } = found
  if (tail.tornBytes > 0) setAside(files, number, tail, notices)
  const handle = await openFile(files.pathOf(number), 'r+')
  await handle.truncate(tail.bytes)
  const file = new AuditFile(handle, number, tail.header.openedMs, tail.bytes)
  return { file, last, torn: tail.tornBytes }
}

/** The last file that begins as one: a later one was only just being begun when its server was killed. */
function lastWholeFile(
  files: AuditFiles,
  head: AuditHead | undefined,
  notices: Notices,
): { readonly number: number; readonly tail: Tail } | undefined {
  for (const number of files.numbers().toReversed()) {
    const path = files.pathOf(number)
    const tail = readTail(path, head)
    if (tail !== undefined) return { number, tail }
    if (statSync(path).size > HEADER_BYTES_MAX) {
      notices.error(`the audit file '${files.nameOf(number)}' was changed: ${VERIFY}`)
      continue
    }
    const name = files.nameOf(number)
    notices.warn(`the audit file '${name}' had only just been begun, in vain: it was moved to '${name}.torn'`)
    keepTorn(path, 0, HEADER_BYTES_MAX)
    rmSync(path)
  }
  return undefined
}

/** What a crash left behind the last whole line: no reply has gone out for it. */
function setAside(files: AuditFiles, number: number, { bytes, tornBytes }: Tail, notices: Notices): void {
  keepTorn(files.pathOf(number), bytes, tornBytes)
  const name = files.nameOf(number)
  notices.warn(
    `the audit file '${name}' ended in ${tornBytes} torn bytes, which were moved to '${name}.torn'`,
  )
}

function keepTorn(path: string, position: number, length: number): void {
  appendFileSync(`${path}.torn`, readBytes(path, position, length), { mode: 0o600, flush: true })
}

/** @throws if there is such a file: nothing that exists is ever written over. */
async function createFile(files: AuditFiles, number: number, openFile: OpenFile): Promise<AuditFile> {
  const handle = await openFile(files.pathOf(number), 'wx', 0o600)
  return new AuditFile(handle, number, Date.now(), 0)
}

/** A new file with its first lines, or none. */
async function beginFile(
  files: AuditFiles,
  number: number,
  lines: Buffer,
  openFile: OpenFile,
): Promise<AuditFile> {
  const file = await createFile(files, number, openFile)
  try {
    await file.append(lines)
    files.syncFolder()
    return file
  } catch (error) {
    await file.close()
    rmSync(files.pathOf(number), { force: true })
    throw error
  }
}
