import { constants, type ServerHttp2Stream } from 'node:http2'
import { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { outliveLastWrite } from './http2-exchange.ts'

/** A stream whose last write waits for {@link confirm}, and which has been closed by both sides. */
function closedStream({
  rstCode = constants.NGHTTP2_NO_ERROR,
  isAborted = false,
  isSessionDestroyed = false,
} = {}) {
  let confirm: (error?: Error | null) => void = () => undefined
  const stream = new Duplex({
    autoDestroy: false,
    read() {},
    write(_chunk, _encoding, done) {
      confirm = done
    },
  })
  stream.on('error', () => undefined)
  const closed = Object.defineProperties(stream, {
    closed: { value: true },
    aborted: { value: isAborted },
    rstCode: { value: rstCode },
    session: { value: { destroyed: isSessionDestroyed } },
  }) as unknown as ServerHttp2Stream
  outliveLastWrite(closed)
  closed.end('a reply')
  return { stream: closed, confirm: () => confirm() }
}

describe('a stream that Node destroys', () => {
  test('while its last write is not confirmed stays until it is, and then closes', async () => {
    const { stream, confirm } = closedStream()
    stream.destroy()
    expect(stream.destroyed).toBe(false)
    const isClosed = new Promise((resolve) => stream.once('close', resolve))
    confirm()
    await isClosed
    expect(stream.destroyed).toBe(true)
  })

  test('is gone at once when it is destroyed again, as by the deadline of its request', () => {
    const { stream } = closedStream()
    stream.destroy()
    stream.destroy()
    expect(stream.destroyed).toBe(true)
  })

  test.each([
    ['for an error', {}, new Error('broken')],
    ['because the client has reset it', { rstCode: constants.NGHTTP2_CANCEL }, undefined],
    ['because the client has broken it off before the reply', { isAborted: true }, undefined],
    ['with its session', { isSessionDestroyed: true }, undefined],
  ])('is gone at once %s', (_, options, error) => {
    const { stream } = closedStream(options)
    stream.destroy(error)
    expect(stream.destroyed).toBe(true)
  })
})
