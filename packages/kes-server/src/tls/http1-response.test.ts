import type { TLSSocket } from 'node:tls'
import { beforeEach, expect, test } from 'vitest'
import { Http1Response } from './http1-response.ts'

/** A socket that takes everything, and says so when it is told to. */
class FakeSocket {
  writable = true
  destroyed = false
  written = ''
  taken: (error?: Error) => void = () => undefined

  write(bytes: Buffer, taken: (error?: Error) => void): void {
    this.written += bytes.toString('latin1')
    this.taken = taken
  }

  destroy(): void {
    this.destroyed = true
  }
}

let socket: FakeSocket
let response: Http1Response
let seen: string[]
beforeEach(() => {
  socket = new FakeSocket()
  seen = []
  response = new Http1Response(socket as unknown as TLSSocket, {
    idleTimeoutMs: 90_000,
    onEnd: (isLast) => seen.push(`end ${isLast}`),
    onClose: () => seen.push('closed'),
  })
  for (const event of ['finish', 'close']) response.on(event, () => seen.push(event))
})

function headerLines(): string[] {
  const [head = ''] = socket.written.split('\r\n\r\n')
  return head.split('\r\n').filter((line) => !line.startsWith('Date: '))
}

test('a reply is written once, whole, and is finished when the system has it', () => {
  response.setHeader('X-One', 1)
  response.setHeader('X-Two', 'first')
  response.writeHead(403, { 'x-two': 'second', 'content-length': 2 })
  expect(socket.written).toBe('')
  response.end(Buffer.from('no'))
  response.end('again')
  const kept = ['Connection: keep-alive', 'Keep-Alive: timeout=90']
  expect(headerLines()).toEqual([
    'HTTP/1.1 403 Forbidden',
    'x-one: 1',
    'x-two: second',
    'content-length: 2',
    ...kept,
  ])
  expect(socket.written.endsWith('\r\n\r\nno')).toBe(true)
  expect(seen).toEqual(['end false'])
  socket.taken()
  expect(seen).toEqual(['end false', 'finish', 'close', 'closed'])
})

test('the length is said also if nobody has', () => {
  response.statusCode = 404
  response.end('\u00e4')
  expect(headerLines().slice(0, 2)).toEqual(['HTTP/1.1 404 Not Found', 'content-length: 2'])
  expect(socket.written.endsWith('\r\n\r\n\u00c3\u00a4')).toBe(true)
})

test('the last reply of a connection says so, once', () => {
  response.writeHead(200, { connection: 'close', 'content-length': 0 }).end()
  expect(headerLines()).toEqual(['HTTP/1.1 200 OK', 'content-length: 0', 'Connection: close'])
  expect(seen).toEqual(['end true'])
})

test('a reply that the system does not take closes without having finished', () => {
  response.end('lost')
  socket.taken(new Error('the connection is gone'))
  response.close()
  expect(seen).toEqual(['end false', 'close', 'closed'])
})

test('nothing is written to a connection that is ending', () => {
  socket.writable = false
  response.end('late')
  expect(socket.written).toBe('')
  expect(seen).toEqual([])
})

test('a header that would be two is refused', () => {
  const write = () => response.writeHead(307, { location: '/a\r\nSet-Cookie: b' })
  expect(write).toThrow('the header location has characters that it may not have')
  expect(socket.written).toBe('')
})
