/** The world as a command sees it, so that a test can run every command without a process, a network or a clock. */
import type { KesClient, KesClientOptions } from '@latchkey/kms-client'
import type { Environment } from '../config/env.ts'

export interface Output {
  readonly isTerminal: boolean
  write(text: string): void
}

/** The public side of a {@link KesClient}, as far as it concerns one server. */
export type Client = Pick<KesClient, Exclude<keyof KesClient, 'endpoints' | 'reload'>>

export interface ClientOptions extends KesClientOptions {
  readonly endpoint: string
}

export interface Io {
  readonly env: Environment
  readonly stdout: Output
  readonly stderr: Output
  /** All of the standard input. */
  readonly readStdin: () => Promise<string>
  /** Asks on stderr and reads a line from its terminal without echo. @throws an Error if stderr is no terminal. */
  readonly readPassword: (prompt: string) => Promise<string>
  readonly now: () => Date
  /** Aborted by Ctrl-C. */
  readonly interruption: AbortSignal
  readonly openClient: (options: ClientOptions) => Promise<Client>
}

/** KES prints for people if either output is a terminal, so that `kes key dek x | less` shows what `kes key dek x` does. */
export function isForPeople({ stdout, stderr }: Io): boolean {
  return stdout.isTerminal || stderr.isTerminal
}

export function printJson(io: Io, value: unknown, { isIndented = false } = {}): void {
  io.stdout.write(`${JSON.stringify(value, undefined, isIndented ? 2 : undefined)}\n`)
}
