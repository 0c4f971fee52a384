/** What the admin APIs have in common: how they answer, and that most need a KMS. */
import type { Reply } from '../s3/call.ts'
import { S3Error } from '../s3/errors.ts'
import { KMS_NOT_CONFIGURED } from '../s3/node-errors.ts'
import type { MeteredKms } from './metered-kms.ts'

/** @throws S3Error 501 */
export function required(kms: MeteredKms | undefined): MeteredKms {
  if (kms !== undefined) return kms
  throw S3Error.of('NotImplemented', { message: KMS_NOT_CONFIGURED })
}

/** JSON as Go writes it: what could be taken for HTML is escaped. */
export function json(value: unknown): Reply {
  const body = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return { status: 200, headers: { 'content-type': 'application/json' }, body }
}
