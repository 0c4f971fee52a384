/** A node as a process of its own, started as a user does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../packages/storage-node/src/main.ts', import.meta.url))

export interface NodeProcess extends AsyncDisposable {
  readonly pid: number
  /** What it has printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** The line that says that it serves; undefined if it has ended before. */
  readonly ready: Promise<{ readonly url: string; readonly pid: number } | undefined>
  readonly ended: Promise<number | null>
  kill(signal: NodeJS.Signals): void
}

export function startNodeProcess(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  program: string = MAIN,
): NodeProcess {
  const child: ChildProcess = spawn(process.execPath, [program, 'server', ...args, '--json'], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  const { promise: ready, resolve } = Promise.withResolvers<{ url: string; pid: number } | undefined>()
  child.stdout?.on('data', (chunk) => {
    stdout += chunk
    if (stdout.includes('\n')) resolve(JSON.parse(stdout.slice(0, stdout.indexOf('\n'))))
  })
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => {
    resolve(undefined)
    return code as number | null
  })
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    ready,
    ended,
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
