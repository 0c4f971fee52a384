/** JSON that the console itself takes: small objects of texts. */
import type { IncomingMessage } from 'node:http'
import { refusal } from './errors.ts'

const BYTES_MAX = 16_384
const TIMEOUT_MS = 10_000

/** @throws ConsoleError 400, 408 or 413 */
export async function readTexts<Name extends string>(
  request: IncomingMessage,
  names: readonly Name[],
): Promise<Record<Name, string>> {
  const fields = parseObject(await readBody(request))
  const found = names.map((name) => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (typeof value !== 'string') throw refusal('InvalidBody')
    return [name, value] as const
  })
  return Object.fromEntries(found) as Record<Name, string>
}

function parseObject(text: string): Record<string, unknown> {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusal('InvalidBody')
  return { ...value }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw refusal('InvalidBody')
  }
}

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const deadline = setTimeout(() => reject(refusal('RequestTimeout')), TIMEOUT_MS)
    const settle = (end: () => void) => {
      clearTimeout(deadline)
      end()
    }
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= BYTES_MAX) chunks.push(chunk)
      else settle(() => reject(refusal('BodyTooLarge')))
    })
    request.on('end', () => settle(() => resolve(Buffer.concat(chunks).toString())))
    request.on('close', () => settle(() => reject(refusal('InvalidBody'))))
  })
}
