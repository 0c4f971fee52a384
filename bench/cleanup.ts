/** Leaves nothing behind: processes and folders go away at the end of the program, whatever ends it. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const atExit = new Set<() => void>()

process.on('exit', () => {
  for (const clean of [...atExit].reverse()) clean()
})

/** Lets Ctrl-C and a polite kill end the program as its own exit does. */
export function exitOnSignals(): void {
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
}

/** A folder that is removed with all that is in it. */
export class TemporaryFolder implements Disposable {
  readonly path: string
  readonly #remove = () => rmSync(this.path, { recursive: true, force: true })

  /** @param parent - the system's folder for temporary files by default. */
  constructor(parent = tmpdir()) {
    this.path = mkdtempSync(join(parent, 'latchkey-bench-'))
    atExit.add(this.#remove)
  }

  [Symbol.dispose](): void {
    atExit.delete(this.#remove)
    this.#remove()
  }
}

/**
 * Starts a Node program that is killed if it is still there when this one ends.
 *
 * @param env - beside this program's own.
 */
export function startNode(
  args: readonly string[],
  stdio: StdioOptions,
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(process.execPath, [...args], { stdio, env: { ...process.env, ...env } })
  const kill = () => {
    child.kill('SIGKILL')
  }
  atExit.add(kill)
  child.once('exit', () => atExit.delete(kill))
  return child
}

/** Resolves when the process has ended; at once if it has. */
export function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
  })
}
