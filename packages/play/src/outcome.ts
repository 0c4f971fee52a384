/** How the programs of this package end: by a signal, or by an error. */
import { ProgramEndedError } from './sandbox/child-program.ts'

/** One Ctrl-C may reach the process twice: from the terminal, and from the npm that runs it. */
const SAME_SIGNAL_MS = 500

/** Aborts at the first signal; a later one ends this process, and the programs with it. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  let firstSignalMs: number | undefined
  const onSignal = () => {
    if (firstSignalMs === undefined) {
      firstSignalMs = performance.now()
      stop.abort()
    } else if (performance.now() - firstSignalMs > SAME_SIGNAL_MS) {
      process.exit(1)
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal)
  return stop.signal
}

/** Rejects with the signal's reason, once it is aborted. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Whether somebody wanted this end. */
export function isInterruption(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}

/** Says it on stderr. @returns the exit code. */
export function reportFailure(error: unknown): number {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  if (!(error instanceof ProgramEndedError)) return 1
  for (const line of error.lastLines) process.stderr.write(`  ${line}\n`)
  return error.exitCode
}
