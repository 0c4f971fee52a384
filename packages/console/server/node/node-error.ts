/** What the storage node refuses → the console's own form of it. */
import type { IncomingMessage } from 'node:http'
import { ConsoleError } from '../errors.ts'

/** A page of a listing has 1000 names of up to 1024 bytes, each of which JSON may write as six. */
const BYTES_MAX = 16 * 1024 * 1024

/** The state of the key that keeps an object closed. */
const KEY_STATE_HEADER = 'x-latchkey-key-state'

export async function readNodeError(status: number, answer: IncomingMessage): Promise<ConsoleError> {
  const { headers } = answer
  const state = headers[KEY_STATE_HEADER]
  const fields = typeof state === 'string' ? { key_state: state } : {}
  const { code, message } = (await readBody(answer)) ?? fromHeaders(headers)
  // Of this status a page would take its own session for ended.
  const shown = status === 401 || status < 400 ? 502 : status
  return new ConsoleError(shown, code, message, fields)
}

interface Refusal {
  readonly code: string
  readonly message: string
}

/** A HEAD has no body: MinIO's clients read two headers instead. */
function fromHeaders(headers: IncomingMessage['headers']): Refusal {
  const code = String(headers['x-minio-error-code'] ?? 'NodeError')
  const message = String(headers['x-minio-error-desc'] ?? 'the storage node refused the request')
  return { code, message: message.replace(/^"(.*)"$/s, '$1') }
}

/** Undefined if it tells nothing. */
async function readBody(answer: IncomingMessage): Promise<Refusal | undefined> {
  const error = memberOf(await parseXml(await readAnswer(answer)), 'Error')
  const code = memberOf(error, 'Code')
  const message = memberOf(error, 'Message')
  return typeof code === 'string' && typeof message === 'string' ? { code, message } : undefined
}

async function parseXml(text: string): Promise<unknown> {
  const { XMLParser } = await import('fast-xml-parser')
  try {
    // `htmlEntities` stands for the numbered ones as well, as which a quote is written.
    return new XMLParser({ parseTagValue: false, htmlEntities: true }).parse(text)
  } catch {
    return undefined // It is not the node's XML, then.
  }
}

/** @throws ConsoleError 502 */
export async function readAnswer(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer) {
      bytes += chunk.length
      if (bytes > BYTES_MAX) throw new Error('too long')
      chunks.push(chunk)
    }
  } catch (error) {
    throw unreachable(error)
  }
  return Buffer.concat(chunks).toString()
}

export function unreachable(error: unknown): ConsoleError {
  const reason = error instanceof Error ? ('code' in error ? error.code : error.message) : error
  return new ConsoleError(502, 'NodeUnreachable', `the storage node does not answer (${reason})`)
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? Object.entries(value).find(([each]) => each === name)?.[1]
    : undefined
}
