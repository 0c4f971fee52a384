/** Why a store can't be opened. These end a start, with their message as its one line, and never reach the wire. */
import { StoreError } from '../errors.ts'

export class StoreOpenError extends Error {
  override readonly name: string = 'StoreOpenError'
  /** Where the store is, as the operator wrote it or with its links resolved. */
  readonly path: string

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.path = path
  }
}

/** What the store answered while a server was starting, as one line. @returns `error` itself if it is not the store's. */
export function asStartError(path: string, error: unknown): unknown {
  if (!(error instanceof StoreError)) return error
  const why = error.detail ?? error.message
  return new StoreOpenError(path, `the store '${path}' can not be opened: ${why}`, { cause: error })
}

export class StoreLockedError extends StoreOpenError {
  override readonly name = 'StoreLockedError'
  /** The process that holds the store, unless it was just about to write its number. */
  readonly pid: number | undefined

  constructor(path: string, holder: { readonly pid: number; readonly host: string } | undefined) {
    const who = holder === undefined ? 'another process' : describe(holder)
    super(path, `the store '${path}' is in use by ${who}: stop it first, or configure another path`)
    this.pid = holder?.pid
  }
}

function describe({ pid, host }: { readonly pid: number; readonly host: string }): string {
  return `${pid === process.pid ? 'this very process' : 'another server'} (pid ${pid} on host '${host}')`
}
