/**
 * Programs of others that tests run against the server. A test is skipped where its program is missing, and the
 * reason printed; in CI it fails instead, so that no peer gets lost there unseen.
 */
import { execFile, spawnSync } from 'node:child_process'
import { test } from 'vitest'

/** How each program is asked for its version. */
const VERSION_ARGUMENTS = {
  go: ['version'],
  curl: ['--version'],
  nginx: ['-v'],
  openssl: ['version'],
  python3: ['--version'],
  cc: ['--version'],
  rclone: ['version'],
  s3cmd: ['--version'],
  aws: ['--version'],
  chrt: ['--version'],
  taskset: ['--version'],
  script: ['--version'],
} as const

export type Peer = keyof typeof VERSION_ARGUMENTS

const presence = new Map<Peer, boolean>()

export function isPresent(peer: Peer): boolean {
  const found = presence.get(peer) ?? spawnSync(peer, VERSION_ARGUMENTS[peer]).status === 0
  presence.set(peer, found)
  return found
}

/** A test that needs this program, or these. */
export function peerTest(
  peers: Peer | readonly Peer[],
  title: string,
  run: () => Promise<void>,
  timeoutMs?: number,
): void {
  test(title, { ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }) }, async ({ skip }) => {
    const missing = [peers].flat().filter((peer) => !isPresent(peer))
    if (missing.length === 0) return run()
    const reason = `not on this machine: ${missing.join(', ')}`
    if (process.env.CI) throw new Error(reason)
    console.warn(`skipped: ${title}: ${reason}`)
    skip(reason)
  })
}

export interface RunOptions {
  /** Beside `PATH`; nothing else is inherited, so that no proxy and no configuration of the machine is used. */
  readonly env?: Readonly<NodeJS.ProcessEnv>
  readonly cwd?: string
  /** What the program reads; its input stays open until it ends. */
  readonly input?: string
  readonly timeoutMs?: number
}

export interface Run {
  /** The exit code; -1 if the program did not end in time. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. Arguments are visible to everybody on the machine: secrets go into `env` or files. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const { env, cwd, input, timeoutMs = 30_000 } = options
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        cwd,
        env: { PATH: process.env.PATH, ...env },
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.code ?? -1)
        // A text instead of a number says that the program could not be run.
        if (typeof code === 'string') reject(error)
        else resolve({ code, stdout, stderr })
      },
    )
    child.stdin?.on('error', () => {}) // A program that has ended reads no more.
    if (input === undefined) child.stdin?.end()
    else child.stdin?.write(input)
  })
}
