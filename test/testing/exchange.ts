/** One request to a sandbox over either version of HTTP, and how far its answer came. */

import { readFileSync } from 'node:fs'
import { connect as connectHttp2, constants } from 'node:http2'
import { request as requestHttps } from 'node:https'
import type { KesSandbox } from '@latchkey/kms-client/testing'

export type Protocol = 'h2' | 'http/1.1'
export const PROTOCOLS: readonly Protocol[] = ['h2', 'http/1.1']

export interface Answer {
  /** Undefined if the headers never came. */
  readonly status: number | undefined
  readonly contentType: string | undefined
  readonly body: string
  /** The code of the error that broke it off; undefined if it is complete. */
  readonly error: string | undefined
  /** From the first byte of the body to the end of the answer. */
  readonly bodyMs: number
}

/** On a connection of its own, as the sandbox's admin. */
export function exchange(
  kes: KesSandbox,
  protocol: Protocol,
  path: string,
  { method = 'GET', body = '' }: { readonly method?: string; readonly body?: string } = {},
): Promise<Answer> {
  const tls = { ca: kes.ca, cert: readFileSync(kes.certPath), key: readFileSync(kes.keyPath) }
  const received = new Received()
  if (protocol === 'h2') {
    const session = connectHttp2(kes.endpoint, tls)
    session.on('error', (error) => received.fail(error))
    const stream = session.request({ ':method': method, ':path': path }, { endStream: body === '' })
    stream.on('response', (headers) => received.begin(headers[':status'], headers['content-type']))
    stream.on('data', (chunk: Buffer) => received.add(chunk))
    stream.on('error', (error) => received.fail(error))
    stream.on('close', () => {
      session.destroy()
      // A stream that is broken off ends like one that is whole, and has a code that says so.
      if (received.hasBegun && stream.rstCode === constants.NGHTTP2_NO_ERROR) received.end()
      else received.fail(new Error('closed'))
    })
    if (body !== '') stream.end(body)
  } else {
    const request = requestHttps(`${kes.endpoint}${path}`, { ...tls, method, agent: false }, (response) => {
      received.begin(response.statusCode, response.headers['content-type'])
      response.on('data', (chunk: Buffer) => received.add(chunk))
      response.on('error', (error) => received.fail(error))
      response.on('end', () => received.end())
    })
    request.on('error', (error) => received.fail(error))
    request.end(body)
  }
  return received.answer
}

class Received {
  readonly #settled = Promise.withResolvers<Answer>()
  #status: number | undefined
  #contentType: string | undefined
  #body = ''
  #bodyStartedMs: number | undefined

  get answer(): Promise<Answer> {
    return this.#settled.promise
  }

  get hasBegun(): boolean {
    return this.#status !== undefined
  }

  begin(status: number | undefined, contentType: string | undefined): void {
    this.#status = status
    this.#contentType = contentType
  }

  add(chunk: Buffer): void {
    this.#bodyStartedMs ??= performance.now()
    this.#body += chunk
  }

  end(): void {
    this.#settle(undefined)
  }

  fail(error: NodeJS.ErrnoException): void {
    this.#settle(error.code ?? error.message)
  }

  /** The first word counts. */
  #settle(error: string | undefined): void {
    const now = performance.now()
    this.#settled.resolve({
      status: this.#status,
      contentType: this.#contentType,
      body: this.#body,
      error,
      bodyMs: now - (this.#bodyStartedMs ?? now),
    })
  }
}
