/**
 * Replies that wait for their event to be on the disk.
 *
 * They go out in the order in which they came: batches are settled in their order, and each releases its replies in
 * theirs. What came before the reply of a disable therefore goes out before it, and a turn earlier: Node's HTTP/2 writes
 * at the end of a turn what it was handed in it.
 */
import { setImmediate as laterTurn } from 'node:timers/promises'
import type { AuditSink } from './audit-writer.ts'
import { noteFields } from './lines.ts'

export interface HeldReply {
  /** The event: the members of a JSON object. */
  readonly fields: string
  /** Whether the reply has gone out already, so that its sender may send more. */
  readonly isAnswered?: boolean | undefined
  /**
   * Goes out even if its event can't be written: the lock of a key must not depend on the audit file, and the journal
   * has it anyway.
   */
  readonly isUrgent: boolean
  /** Hands the reply to the socket. */
  readonly release: () => void
  /** The event could not be written, so nobody may get the reply. */
  readonly refuse: () => void
}

/** Enough for probes while a disk hangs for minutes. */
const ANSWERED_MAX = 1000

export class HeldReplies {
  readonly #sink: AuditSink
  #gathered: HeldReply[] = []
  #lastFlush: Promise<void> = Promise.resolve()
  /** Requests that were answered without an event since the last time that one could be written. */
  #unrecorded = 0
  /** Events that are not on the disk yet, of replies that have gone out. */
  #ofAnswered = 0
  #unrecordedSince = ''

  constructor(sink: AuditSink) {
    this.#sink = sink
  }

  /** Whether an event can be expected to be written. */
  get isAccepting(): boolean {
    return this.#sink.isAccepting
  }

  hold(reply: HeldReply): void {
    const isTooMuch = reply.isAnswered === true && this.#ofAnswered >= ANSWERED_MAX
    if (isTooMuch || (!this.#sink.isAccepting && !reply.isUrgent)) {
      this.#refuse(reply)
      return
    }
    if (this.#gathered.length === 0) setImmediate(() => this.#flush())
    if (reply.isAnswered === true) this.#ofAnswered += 1
    this.#gathered.push(reply)
  }

  /** Resolves when every reply that is held now has gone out. */
  async released(): Promise<void> {
    this.#flush()
    await this.#lastFlush
  }

  #flush(): void {
    const replies = this.#gathered
    if (replies.length === 0 && !this.#owesNote()) return
    this.#gathered = []
    this.#lastFlush = this.#write(replies, this.#lastFlush)
  }

  async #write(replies: readonly HeldReply[], before: Promise<void>): Promise<void> {
    const unrecorded = this.#owesNote() ? this.#unrecorded : 0
    const lines = replies.map(({ fields }) => fields)
    if (unrecorded > 0) {
      lines.unshift(this.#note())
      this.#unrecorded = 0
    }
    try {
      await this.#sink.append(lines).finally(() => {
        this.#ofAnswered -= replies.filter(({ isAnswered }) => isAnswered === true).length
      })
    } catch {
      // The writer tells the operator why.
      this.#unrecorded += unrecorded
      await before
      for (const reply of replies) {
        if (reply.isUrgent) await laterTurn()
        this.#refuse(reply)
      }
      return
    }
    await before
    for (const { isUrgent, release } of replies) {
      if (isUrgent) await laterTurn()
      release()
    }
  }

  #refuse({ isUrgent, release, refuse }: HeldReply): void {
    if (this.#unrecorded === 0) this.#unrecordedSince = new Date().toISOString()
    this.#unrecorded += 1
    if (isUrgent) release()
    else refuse()
  }

  #owesNote(): boolean {
    return this.#unrecorded > 0 && this.#sink.isAccepting
  }

  #note(): string {
    const message = `${this.#unrecorded} requests were answered without an event: the audit file could not be written`
    return noteFields('ERROR', message, { unrecorded: this.#unrecorded, since: this.#unrecordedSince })
  }
}
