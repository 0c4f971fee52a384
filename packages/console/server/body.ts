/** JSON that the console itself takes: small objects of texts. */
import type { IncomingMessage } from 'node:http'
import { refusal } from './errors.ts'

const BYTES_MAX = 16_384
const TIMEOUT_MS = 10_000

/**
 * @param optional - may be missing, or null.
 * @throws ConsoleError 400, 408 or 413
 */
export async function readTexts<Name extends string, Optional extends string = never>(
  request: IncomingMessage,
  names: readonly Name[],
  optional: readonly Optional[] = [],
): Promise<Record<Name, string> & Partial<Record<Optional, string>>> {
  const fields = parseObject(await readBody(request))
  const isText = (name: string) => Object.hasOwn(fields, name) && typeof fields[name] === 'string'
  const isAbsent = (name: string) => !Object.hasOwn(fields, name) || fields[name] === null
  const isValid = names.every(isText) && optional.every((name) => isText(name) || isAbsent(name))
  if (!isValid) throw refusal('InvalidBody')
  const found = [...names, ...optional].filter(isText).map((name) => [name, fields[name]])
  return Object.fromEntries(found)
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
