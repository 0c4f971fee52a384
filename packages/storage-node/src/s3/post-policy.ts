/**
 * The policy document of a form upload: until when it holds, and what each field of the form may be.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
 */
import { S3Error } from './errors.ts'

/** The fields of a form, by lower-case name. */
export type Form = ReadonlyMap<string, string>

export interface PostPolicy {
  readonly expiresMs: number
  readonly conditions: readonly PolicyCondition[]
  /** Bytes that the file may have. */
  readonly size: { readonly min: number; readonly max: number } | undefined
}

interface PolicyCondition {
  readonly operator: 'eq' | 'starts-with'
  /** Lower-case name of a field, without `$`. */
  readonly field: string
  readonly value: string
}

/** Fields that need no condition. */
const FREE = new Set(['policy', 'x-amz-signature', 'file', 'submit'])

/**
 * @param encoded - base64, as in the form.
 * @throws S3Error 400 or 403
 */
export function readPolicy(encoded: string): PostPolicy {
  let document: unknown
  try {
    document = JSON.parse(Buffer.from(encoded, 'base64').toString())
  } catch (cause) {
    throw malformed('Invalid JSON.', cause)
  }
  if (!isRecord(document) || typeof document.expiration !== 'string' || !Array.isArray(document.conditions)) {
    throw malformed('It must have an expiration and conditions.')
  }
  const expiresMs = Date.parse(document.expiration)
  if (Number.isNaN(expiresMs)) throw malformed('The expiration is no date of ISO 8601.')
  const conditions: PolicyCondition[] = []
  let size: PostPolicy['size']
  for (const condition of document.conditions) {
    const range = readSizeRange(condition)
    if (range === undefined) conditions.push(...readConditions(condition))
    else size = range
  }
  return { expiresMs, conditions, size }
}

function readSizeRange(condition: unknown): PostPolicy['size'] {
  if (!Array.isArray(condition) || condition[0] !== 'content-length-range') return undefined
  const [min, max] = [Number(condition[1]), Number(condition[2])]
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) {
    throw malformed('A content-length-range has two whole numbers.')
  }
  return { min, max }
}

/** `{"field": "value"}` or `["eq", "$field", "value"]`. */
function readConditions(condition: unknown): PolicyCondition[] {
  if (Array.isArray(condition)) {
    const [operator, field, value] = condition
    const isKnown = operator === 'eq' || operator === 'starts-with'
    if (!isKnown || typeof field !== 'string' || !field.startsWith('$') || typeof value !== 'string') {
      throw malformed('A condition is ["eq" or "starts-with", "$field", "value"].')
    }
    return [{ operator, field: field.slice(1).toLowerCase(), value }]
  }
  if (!isRecord(condition)) throw malformed('A condition is a list or an object.')
  return Object.entries(condition).map(([field, value]) => {
    if (typeof value !== 'string') throw malformed('The value of a condition is a text.')
    return { operator: 'eq', field: field.toLowerCase(), value }
  })
}

/**
 * Every condition must hold, and every field of the form must have one.
 *
 * @throws S3Error 403
 */
export function checkPolicy({ expiresMs, conditions }: PostPolicy, form: Form, now: number): void {
  if (now > expiresMs) throw denied('Policy expired.')
  for (const { operator, field, value } of conditions) {
    const given = form.get(field) ?? ''
    const holds = operator === 'eq' ? given === value : given.startsWith(value)
    if (!holds) throw denied(`Policy Condition failed: ["${operator}", "$${field}", "${value}"]`)
  }
  const named = new Set(conditions.map(({ field }) => field))
  for (const field of form.keys()) {
    if (FREE.has(field) || field.startsWith('x-ignore-') || named.has(field)) continue
    throw denied(`Extra input fields: ${field}`)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(detail: string, cause?: unknown): S3Error {
  return S3Error.of('InvalidPolicyDocument', { message: `Invalid Policy: ${detail}`, cause })
}

function denied(detail: string): S3Error {
  return S3Error.of('AccessDenied', {
    message: `Invalid according to Policy: ${detail}`,
  })
}
