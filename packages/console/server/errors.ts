/** Every refusal of the console's own, with its status and code; `docs/errors.md` lists them. */

export class ConsoleError extends Error {
  override readonly name = 'ConsoleError'
  readonly status: number
  readonly code: string
  /** Beside message and code. */
  readonly fields: Readonly<Record<string, string>>

  constructor(status: number, code: string, message: string, fields: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.fields = fields
  }
}

/** By code: status and message. */
const REFUSALS = {
  InvalidPath: [400, 'malformed request path'],
  InvalidBody: [400, 'the body is not what this call takes'],
  LoginRefused: [401, 'the login was refused'],
  SessionRequired: [401, 'log in first: there is no session, or it has ended'],
  NotAllowed: [403, 'not authorized: insufficient permissions'],
  WrongOrigin: [403, 'requests from other sites are refused'],
  NotFound: [404, 'there is no such page or call'],
  MethodNotAllowed: [405, 'this call takes another method'],
  RequestTimeout: [408, 'the body did not come in time'],
  LengthRequired: [411, 'an upload needs a Content-Length'],
  BodyTooLarge: [413, 'the body is too large'],
  WrongHost: [421, 'this console is reached by another address'],
  InternalError: [500, 'internal server error'],
  AuditUnavailable: [503, 'audit log is unavailable'],
  Busy: [503, 'too many logins at once: try again in a minute'],
  PageNotBuilt: [503, 'the page is not built: npm run setup builds it'],
} as const

export type RefusalCode = keyof typeof REFUSALS

export const REFUSAL_CODES = Object.keys(REFUSALS) as readonly RefusalCode[]

export function refusal(code: RefusalCode): ConsoleError {
  const [status, message] = REFUSALS[code]
  return new ConsoleError(status, code, message)
}
