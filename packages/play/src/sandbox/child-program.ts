/** A program that the sandbox runs as a process of its own: awaited until it serves, watched until it ends, stopped. */
import { strict as assert } from 'node:assert'
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const END_WITH_PARENT = fileURLToPath(new URL('end-with-parent.js', import.meta.url))
/** The key server lets running requests end for 10 s. */
const STOP_MAX_MS = 12_000
const LAST_LINES = 12
/** From a lost connection to the end of the process. */
const NOTICED_MAX_MS = 2000
/** Of the environment, a program gets these, and what it is given: no variable of the visitor's shell changes it. */
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'NODE_COMPILE_CACHE']

export interface ProgramOptions {
  /** For people: `the key server`. */
  readonly name: string
  /** Path of the program. */
  readonly main: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** For what it prints on stderr. Written anew. */
  readonly logFile: string
  /** Whether it serves, by all that it has printed on stdout. */
  readonly isReady: (stdout: string) => boolean
  /** Ends a start. */
  readonly signal: AbortSignal
}

/** A program ended though nobody had asked it to. The message is for the visitor. */
export class ProgramEndedError extends Error {
  override readonly name = 'ProgramEndedError'
  /** Its own; 128 and the number of the signal if it was killed. */
  readonly exitCode: number
  /** The last lines that it has printed. */
  readonly lastLines: readonly string[]

  constructor(program: string, how: string, exitCode: number, lastLines: readonly string[]) {
    super(`${program} ${how}`)
    this.exitCode = exitCode
    this.lastLines = lastLines
  }
}

export class ChildProgram implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  #isStopping = false
  /** Rejects when the program ends by itself; never resolves. */
  readonly failure: Promise<never>

  private constructor(child: ChildProcess, { name, logFile }: ProgramOptions) {
    this.#child = child
    const exited = Promise.withResolvers<void>()
    const failure = Promise.withResolvers<never>()
    this.#exited = exited.promise
    this.failure = failure.promise
    this.failure.catch(() => {}) // Whoever waits for it gets it; nobody has to.
    child.once('error', (error) => {
      exited.resolve()
      failure.reject(error)
    })
    // Not `exit`: what it has printed must be in the log by then.
    child.once('close', (code, signal) => {
      exited.resolve()
      if (this.#isStopping) return
      const how = signal === null ? `has ended with exit code ${code}` : `was ended by ${signal}`
      const exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal]
      failure.reject(new ProgramEndedError(name, how, exitCode, lastLinesOf(logFile)))
    })
  }

  /**
   * Resolves once the program serves.
   *
   * @throws {@link ProgramEndedError}, or the signal's reason; the program has ended then.
   */
  static async start(options: ProgramOptions): Promise<ChildProgram> {
    const { main, args, env, logFile, isReady, signal } = options
    signal.throwIfAborted()
    const inherited = INHERITED.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
    const log = openSync(logFile, 'w', 0o600)
    const child = spawn(process.execPath, ['--import', END_WITH_PARENT, main, ...args], {
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: ['ignore', 'pipe', log, 'ipc'],
      // Ctrl-C reaches every process of a terminal's group; these are stopped one after the other.
      detached: true,
    })
    closeSync(log)
    const program = new ChildProgram(child, options)
    const ready = new Promise<void>((resolve) => {
      let stdout = ''
      const read = (chunk: string) => {
        stdout += chunk
        if (!isReady(stdout)) return
        child.stdout?.off('data', read)
        child.stdout?.resume()
        resolve()
      }
      child.stdout?.setEncoding('utf8').on('data', read)
    })
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([ready, program.failure, aborted.promise])
      return program
    } catch (error) {
      await program.stop()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Of a program that was started. */
  get pid(): number {
    assert(this.#child.pid !== undefined)
    return this.#child.pid
  }

  /** Why a call to the program has failed: because it has ended, if so, which is noticed a moment later. */
  async explain(error: unknown): Promise<unknown> {
    return await Promise.race([
      this.failure.catch((end: unknown) => end),
      delay(NOTICED_MAX_MS, error, { ref: false }),
    ])
  }

  /** Resolves when the process has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#child.kill('SIGTERM')
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MAX_MS)
    await this.#exited
    clearTimeout(kill)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

function lastLinesOf(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LAST_LINES)
}
