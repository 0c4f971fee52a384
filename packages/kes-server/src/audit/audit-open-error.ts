import { messageOf } from '../message-of.ts'

/** The audit file can't be written, so the server does not start. */
export class AuditOpenError extends Error {
  override readonly name = 'AuditOpenError'

  constructor(path: string, why: string, cause?: unknown) {
    super(`the audit file '${path}' can not be opened: ${why}`, cause === undefined ? undefined : { cause })
  }

  static of(path: string, cause: unknown): AuditOpenError {
    return new AuditOpenError(path, messageOf(cause), cause)
  }
}
