/** A log's stream in a worker: its readers see the events of every process, by way of the supervisor. */
import type { LogName } from '../http/routes.ts'
import { Broadcast, type LogStream, type StreamReader } from '../log/broadcast.ts'
import type { SupervisorCalls } from './calls.ts'
import { Lines, splitLines } from './lines.ts'
import type { Peer } from './peer.ts'

type Supervisor = Pick<Peer<SupervisorCalls>, 'remote' | 'tell'>

export class SharedStream implements LogStream {
  readonly #log: LogName
  readonly #supervisor: Supervisor
  readonly #readers: Broadcast
  readonly #lines: Lines
  #isWanted = false

  /** @param onSent - called once for each event and reader of this process. */
  constructor(log: LogName, supervisor: Supervisor, onSent: () => void) {
    this.#log = log
    this.#supervisor = supervisor
    this.#readers = new Broadcast(onSent)
    this.#lines = new Lines(0, (lines, done) => supervisor.tell('publish', [log, lines], done))
  }

  /** Whether a reader in any process waits for events. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  setWanted(isWanted: boolean): void {
    this.#isWanted = isWanted
  }

  send(line: string): void {
    this.#lines.write(line)
  }

  async open(reader: StreamReader): Promise<void> {
    await this.#readers.open(reader)
    await this.#supervisor.remote.follow(this.#log)
  }

  add(reader: StreamReader): void {
    this.#readers.add(reader)
  }

  /** Events of any process. With nobody left to read them, the supervisor is told so. */
  deliver(lines: string): void {
    for (const line of splitLines(lines)) this.#readers.send(line)
    if (!this.#readers.isWanted) this.#supervisor.tell('unfollow', [this.#log])
  }

  flush(): void {
    this.#lines.flush()
  }

  close(): void {
    this.#readers.close()
  }
}
