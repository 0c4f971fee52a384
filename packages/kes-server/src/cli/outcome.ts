/** How a command ends, other than well: with an error to print, or with nothing but an exit code. */
import { messageOf } from '../message-of.ts'
import type { Io } from './io.ts'
import { paint } from './paint.ts'

/** Exit code 1. The message is KES's, for scripts that compare it; hints are for people. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** Sentences: what is wrong, and what to do. */
  readonly hints: readonly string[]
  constructor(message: string, hints: readonly string[] = []) {
    super(message)
    this.hints = hints
  }
}

/** Everything has been printed. */
export class Exit extends Error {
  override readonly name = 'Exit'
  readonly code: number
  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

export function printError({ stderr, env }: Io, error: unknown): void {
  const message = messageOf(error)
  stderr.write(`${paint('red', 'Error:', stderr, env)} ${message}\n`)
  if (!(error instanceof CliError)) return
  for (const hint of error.hints) stderr.write(`${paint('dim', `Hint: ${hint}`, stderr, env)}\n`)
}
