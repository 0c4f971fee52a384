/**
 * Calls between two processes, over the IPC channel that `child_process.fork` makes. Arguments and results are
 * structured clones (`serialization: 'advanced'`).
 */
import type { SendHandle, Serializable } from 'node:child_process'
import { Socket } from 'node:net'
import { KesError } from '../errors.ts'

/** `process` in a child, the `ChildProcess` in its parent. */
export interface Channel {
  send?:
    | ((
        message: Serializable,
        socket: Socket | undefined,
        options: { readonly keepOpen: true },
        onSent: (error: Error | null) => void,
      ) => boolean)
    | undefined
  on(event: 'message', listener: (message: Serializable, handle: SendHandle) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

type Methods = Readonly<Record<string, (...args: never[]) => unknown>>

/** The methods of the other side: as they are, but each answer takes a while. */
export type Remote<Other> = {
  readonly [Name in keyof Other]: Other[Name] extends (...args: infer Arguments) => infer Result
    ? (...args: Arguments) => Promise<Awaited<Result>>
    : never
}

type ArgumentsOf<Method> = Method extends (...args: infer Arguments) => unknown ? Arguments : never

interface CallMessage {
  readonly call: string
  readonly args: readonly unknown[]
  /** Of the answer; undefined where nobody waits for one. */
  readonly id: number | undefined
}

type Message =
  | CallMessage
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PlainError }

const GONE = 'the other process has ended'

/** The other process has ended, or closed the channel. */
export class PeerGoneError extends Error {
  override readonly name = 'PeerGoneError'
}

/** @typeParam Other - what the other side lets this one call. */
export class Peer<Other> {
  /** Calls the other side; a promise rejects with its error, or with {@link PeerGoneError}. */
  readonly remote: Remote<Other>
  readonly #channel: Channel
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #lastId = 0
  #isGone = false

  /** @param own - what this side lets the other one call. */
  constructor(channel: Channel, own: Methods) {
    this.#channel = channel
    this.remote = new Proxy(Object.create(null), {
      get:
        (_target, method: string) =>
        (...args: unknown[]) =>
          this.#call(method, args),
    })
    channel.on('message', (received, handle) => {
      const message = received as Message // Nobody but the other side holds the channel.
      if ('call' in message) void this.#serve(own, message, handle)
      else this.#settle(message)
    })
    channel.once('disconnect', () => {
      this.#isGone = true
      for (const { reject } of this.#waiting.values()) reject(new PeerGoneError(GONE))
      this.#waiting.clear()
    })
  }

  /**
   * Calls a method whose result nobody waits for.
   *
   * @param onSent - called when the message has left this process, or can't.
   */
  tell<Name extends keyof Other & string>(
    method: Name,
    args: ArgumentsOf<Other[Name]>,
    onSent: () => void = ignore,
  ): void {
    this.#send({ call: method, args, id: undefined }, undefined, onSent)
  }

  /**
   * Hands a connection over; the method gets it as its only argument, or undefined if it was closed on the way. This
   * process keeps it open: Node closes it here by itself, but never if the other process dies before it has it.
   */
  hand<Name extends keyof Other & string>(method: Name, socket: Socket): void {
    this.#send({ call: method, args: [], id: undefined }, socket, ignore)
  }

  #call(method: string, args: unknown[]): Promise<unknown> {
    if (this.#isGone) return Promise.reject(new PeerGoneError(GONE))
    this.#lastId += 1
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(this.#lastId, waiting)
    this.#send({ call: method, args, id: this.#lastId }, undefined, ignore)
    return waiting.promise
  }

  async #serve(own: Methods, { call, args, id }: CallMessage, handle: SendHandle): Promise<void> {
    const all = (handle instanceof Socket ? [handle] : args) as never[]
    try {
      const result = await own[call]?.(...all)
      if (id !== undefined) this.#send({ id, result }, undefined, ignore)
    } catch (error) {
      if (id === undefined) throw error
      this.#send({ id, error: toPlainError(error) }, undefined, ignore)
    }
  }

  #settle(message: Exclude<Message, CallMessage>): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if ('error' in message) waiting?.reject(fromPlainError(message.error))
    else waiting?.resolve(message.result)
  }

  /** Whoever waits for an answer hears of a closed channel by its end. */
  #send(message: Message, socket: Socket | undefined, onSent: (error: Error | null) => void): void {
    if (this.#isGone || this.#channel.send === undefined) onSent(new PeerGoneError(GONE))
    else this.#channel.send(message, socket, { keepOpen: true }, onSent)
  }
}

function ignore(): void {}

/** An error as it crosses from one process to the other: what its reply and the logs need. */
type PlainError =
  | {
      readonly status: number
      readonly code: string
      readonly message: string
      readonly loggedMessage: string
      readonly detail: string | undefined
    }
  | { readonly message: string; readonly stack: string }

/** An error of the key API that another process has thrown. */
class ForwardedError extends KesError {
  override readonly name = 'ForwardedError'
  readonly status: number
  readonly code: string
  readonly #loggedMessage: string

  constructor({ status, code, message, loggedMessage, detail }: Extract<PlainError, { code: string }>) {
    super(message, detail === undefined ? {} : { detail })
    this.status = status
    this.code = code
    this.#loggedMessage = loggedMessage
  }

  override get loggedMessage(): string {
    return this.#loggedMessage
  }
}

function toPlainError(error: unknown): PlainError {
  if (!(error instanceof KesError)) {
    const { message, stack = message } = error instanceof Error ? error : new Error(String(error))
    return { message, stack }
  }
  const { status, code, message, loggedMessage, cause } = error
  const reasons = [error.detail, cause instanceof Error ? cause.message : undefined]
  const detail = reasons.filter((reason) => reason !== undefined).join(': ')
  return { status, code, message, loggedMessage, detail: detail === '' ? undefined : detail }
}

function fromPlainError(error: PlainError): Error {
  if ('code' in error) return new ForwardedError(error)
  const other = new Error(error.message)
  other.stack = error.stack
  return other
}
