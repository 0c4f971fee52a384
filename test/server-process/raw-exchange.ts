/** Requests written byte by byte, over either version of HTTP, and what came back. */
import type { TLSSocket } from 'node:tls'
import type { Credentials } from '../sandbox/certificates.ts'
import { type Frame, FrameType, parseFrames, preface } from './http2-frames.ts'
import { type ServerProcess, sleep } from './server-process.ts'

export type Version = 'h2' | 'http/1.1'

/** A connection that gathers what the server sends. */
export class RawConnection {
  readonly socket: TLSSocket
  received: Buffer = Buffer.alloc(0)
  isClosed = false

  private constructor(socket: TLSSocket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
    })
    socket.once('close', () => {
      this.isClosed = true
    })
  }

  static async open(
    server: ServerProcess,
    version: Version,
    as?: Credentials | null,
  ): Promise<RawConnection> {
    const connection = new RawConnection(
      await server.connect({ ALPNProtocols: [version], ...(as === undefined ? {} : { as }) }),
    )
    if (version === 'h2') connection.socket.write(preface())
    return connection
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  get frames(): Frame[] {
    return parseFrames(this.received)
  }

  /** Statuses of HTTP/1.x replies, in order. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status))
  }

  /** The bodies of HTTP/2 replies that have come, by stream. */
  bodyOf(stream: number): string {
    const data = this.frames.filter((frame) => frame.type === FrameType.data && frame.stream === stream)
    return Buffer.concat(data.map(({ payload }) => payload)).toString('utf8')
  }

  /** Writes, and waits where the server does not take more; does nothing once the connection has closed. */
  async write(bytes: string | Buffer): Promise<void> {
    if (this.isClosed || this.socket.destroyed || this.socket.write(bytes)) return
    await this.#drained()
  }

  #drained(): Promise<void> {
    const { socket } = this
    return new Promise((resolve) => {
      const timer = setTimeout(end, 1_000)
      function end(): void {
        clearTimeout(timer)
        socket.off('drain', end).off('close', end)
        resolve()
      }
      socket.on('drain', end).on('close', end)
    })
  }

  /** Waits until the server has closed the connection or something is true. */
  async until(isReached: () => boolean = () => false, timeoutMs = 10_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!this.isClosed && !isReached()) {
      if (performance.now() > deadlineMs)
        throw new Error(`waited in vain; received ${this.text.slice(0, 500)}`)
      await sleep(5)
    }
  }

  close(): void {
    this.socket.destroy()
  }
}
