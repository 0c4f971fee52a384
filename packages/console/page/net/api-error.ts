/** Why a request failed. */
import { visibleText } from '../text/visible.ts'

/** The server refused, with its status and code. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: string
  /** Of the key that an object is under, where that is why. */
  readonly keyState: string | undefined

  constructor(status: number, code: string, message: string, keyState?: string) {
    super(message)
    this.status = status
    this.code = code
    this.keyState = keyState
  }
}

/** No answer came. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'

  constructor(cause: unknown) {
    super('The server can’t be reached.', { cause })
  }
}

export async function errorOfReply(reply: Response): Promise<ApiError> {
  return errorOfText(reply.status, await reply.text().catch(() => ''))
}

/** @param text - the body of a reply: `{ "message", "code" }`, or whatever something in between answered. */
export function errorOfText(status: number, text: string): ApiError {
  const { message, code, key_state } = fieldsOf(text)
  return new ApiError(
    status,
    typeof code === 'string' ? code : '',
    typeof message === 'string' ? message : `The server answered with status ${status}.`,
    typeof key_state === 'string' ? key_state : undefined,
  )
}

function fieldsOf(text: string): { message?: unknown; code?: unknown; key_state?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** What KES's own words leave out: its messages are a contract, and its clients compare them. */
const EXPLANATIONS: ReadonlyMap<string, string> = new Map([
  ['NotAllowed', 'Your policy does not allow this.'],
  ['KeyDisabled', 'The key is disabled. Nothing is encrypted or decrypted with it until it is enabled.'],
  ['KeyPendingDeletion', 'The key waits for its deletion. It can’t be used unless that is cancelled.'],
  ['KeyNotFound', 'There is no such key, or it was erased.'],
  ['KeyExists', 'A key of this name exists already.'],
  ['KeyNameReserved', 'A key of this name was erased. Its name stays reserved.'],
  [
    'ErasePending',
    'The key is refused from now on, but something still reads the store, and the disk is not clean yet. Repeat it in a moment.',
  ],
  ['WaitingPeriodTooShort', 'The server’s config asks for a longer waiting period.'],
  ['NotInConsole', 'Data keys are not given to the console.'],
  ['NodeNotConfigured', 'The console knows no storage node.'],
  ['NodeUnreachable', 'The storage node can’t be reached.'],
  ['SessionEnded', 'Your session has ended.'],
  ['InvalidName', 'Names have 1 to 80 of the characters A–Z, a–z, 0–9, - and _, and no - at either end.'],
])

/** Of an object's key, in the node's words. */
const KEY_STATES: ReadonlyMap<string, string> = new Map([
  ['locked', 'The object’s key is locked: it is disabled, or waits for its deletion.'],
  ['erased', 'The object’s key was erased. What it encrypted is lost for good.'],
])

/** For people: what happened, and where it helps what the server said. */
export function explainError(error: unknown): string {
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'The server does not answer.'
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error)
  const { code, message, keyState = '' } = error
  const explanation = KEY_STATES.get(keyState) ?? EXPLANATIONS.get(code)
  return explanation ?? visibleText(code === '' ? message : `${message} (${code})`)
}
