/** `npm start` as a process of its own, as a person or a script has it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { vi } from 'vitest'

export const ROOT = resolve(import.meta.dirname, '../..')
const START = join(ROOT, 'packages/play/src/start.ts')
const UP = 'Ctrl-C stops it.'
const START_MAX_MS = 60_000

export interface StartOptions {
  /** Before everything else on `PATH`. */
  readonly path?: string
  /** In place of the machine's `PATH`. */
  readonly wholePath?: string
}

/** What a sandbox prints without a terminal. */
export interface Announcement {
  readonly key_server: string
  readonly console: string
  readonly s3: string
  readonly pid: number
  readonly pids: { readonly key_server: number; readonly node: number }
  readonly folder: string
  readonly env_file: string
  readonly ca_file: string
  readonly root_identity: string
  readonly api_key_file: string
  readonly node_identity: string
  readonly default_key: string
  readonly secret_key_file: string
  readonly ready_ms: number
  readonly parts_ms: Readonly<Record<string, number>>
}

export class StartProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  /** The exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (chunk) => {
      this.#stdout += chunk
    })
    child.stderr?.on('data', (chunk) => {
      this.#stderr += chunk
    })
    this.ended = once(child, 'close').then(([code, signal]) => code ?? signal)
  }

  static spawn(args: readonly string[], options: StartOptions = {}): StartProcess {
    return new StartProcess(
      spawn(process.execPath, [START, ...args], { cwd: ROOT, env: environment(options), stdio: 'pipe' }),
    )
  }

  /** On a terminal of its own. */
  static spawnOnTerminal(args: readonly string[], options: StartOptions = {}): StartProcess {
    const command = [process.execPath, START, ...args].map((word) => `'${word}'`).join(' ')
    return new StartProcess(
      spawn('/usr/bin/script', ['-qefc', `exec ${command}`, '/dev/null'], {
        cwd: ROOT,
        env: environment(options),
        stdio: 'pipe',
      }),
    )
  }

  get stdout(): string {
    return this.#stdout.replaceAll('\r\n', '\n')
  }

  get stderr(): string {
    return this.#stderr
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The line that a script reads. */
  async announced(): Promise<Announcement> {
    await this.#until(() => this.#stdout.includes('\n'))
    return JSON.parse(this.#stdout)
  }

  /** All that a person reads. */
  async welcomed(): Promise<string> {
    await this.prints(UP)
    return this.stdout
  }

  /** Waits until it has printed this, on stdout or stderr. */
  async prints(text: string): Promise<void> {
    await this.#until(() => (this.stdout + this.stderr).includes(text))
  }

  /** @throws Error if it ends before. */
  async #until(isPrinted: () => boolean): Promise<void> {
    const ended = this.ended.then((code) => {
      if (!isPrinted()) throw new Error(`ended with ${code}: ${this.stdout}${this.stderr}`)
    })
    await Promise.race([ended, vi.waitUntil(isPrinted, { timeout: START_MAX_MS, interval: 20 })])
  }

  /** At its keyboard. */
  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<number | NodeJS.Signals> {
    this.kill('SIGTERM')
    return await this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGTERM')
    await this.ended
  }
}

function environment({ path, wholePath = process.env.PATH ?? '' }: StartOptions): NodeJS.ProcessEnv {
  return {
    PATH: path === undefined ? wholePath : `${path}:${wholePath}`,
    HOME: process.env.HOME,
    TERM: 'xterm',
    SHELL: '/bin/sh',
    NO_COLOR: '1',
  }
}

/** Whether there is a process with this id, dead ones that wait for their parent not counted. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // ESRCH: these are our own processes.
  }
}
