/** What happens to the body of an answer on its way from the server to the socket, over either version of HTTP. */
import type { Writable } from 'node:stream'
import type { Exchange } from './key-server.ts'

const THROTTLE_STEP_MS = 10

/** Sees what is written to an answer, in place of its socket. */
interface Writer {
  write(chunk: Buffer): void
  end(): void
}

type Chunk = Buffer | string | null | undefined

/** Puts a writer before the answer. @returns the way past it. */
function stepIn(answer: Writable, writer: Writer): Pick<Writable, 'write' | 'end'> {
  const past = { write: answer.write.bind(answer), end: answer.end.bind(answer) }
  const pass = (chunk: Chunk) => {
    if (chunk !== undefined && chunk !== null && chunk.length > 0) writer.write(Buffer.from(chunk))
  }
  Object.assign(answer, {
    write(chunk: Chunk) {
      pass(chunk)
      return true
    },
    end(chunk?: Chunk) {
      pass(chunk)
      writer.end()
      return answer
    },
  })
  return past
}

/** Calls back when the server has ended its answer, which may then still be on its way. */
export function onAnswered({ answer }: Exchange, onEnd: () => void): void {
  const end = answer.end.bind(answer)
  Object.assign(answer, {
    end(...args: Parameters<typeof end>) {
      onEnd()
      return end(...args)
    },
  })
}

/**
 * Lets half of the answer through: the status, the headers, and half of the first piece of the body. Of an answer
 * without a body there is no half; then the head is broken off (HTTP/1.1), or comes without its end (HTTP/2).
 *
 * @param cut - breaks the connection.
 */
export function cutAnswer({ answer, protocol, socket }: Exchange, cut: () => void): void {
  let isCut = false
  const cutOnce = () => {
    if (!isCut) cut()
    isCut = true
  }
  const past = stepIn(answer, {
    write(chunk) {
      if (!isCut) past.write(chunk.subarray(0, Math.floor(chunk.length / 2)))
      cutOnce()
    },
    end() {
      if (!isCut && protocol === 'http/1.1') socket.write('HTTP/1.1 200 OK\r\n')
      cutOnce()
    },
  })
}

/** Lets the body through at a steady pace, from its first byte on. */
export function throttleAnswer({ answer }: Exchange, bytesPerSecond: number): void {
  let waiting: Buffer = Buffer.alloc(0)
  let isEnded = false
  let timer: NodeJS.Timeout | undefined
  let allowance = 0
  let lastMs = 0

  function send(): void {
    const nowMs = performance.now()
    allowance += ((nowMs - lastMs) / 1000) * bytesPerSecond
    lastMs = nowMs
    const bytes = Math.min(Math.floor(allowance), waiting.length)
    if (bytes > 0) {
      past.write(waiting.subarray(0, bytes))
      waiting = waiting.subarray(bytes)
      allowance -= bytes
    }
    if (waiting.length > 0) return
    stop()
    if (isEnded) past.end()
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  const past = stepIn(answer, {
    write(chunk) {
      waiting = Buffer.concat([waiting, chunk])
      if (timer !== undefined) return
      allowance = 0
      lastMs = performance.now()
      timer = setInterval(send, THROTTLE_STEP_MS)
    },
    end() {
      isEnded = true
      if (timer === undefined) past.end()
    },
  })
  answer.once('close', stop)
}
