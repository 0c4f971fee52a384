/** A short soak, run as anybody would run it: what the load opens, the server must have closed at the end. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const PROGRAM = join(import.meta.dirname, '../../bench/main.ts')
const SECONDS = 15
/** With the start and the rests; generous, for a machine that does other things as well. */
const TIMEOUT_MS = 120_000
const OPEN_FILES_DIFFERENCE_MAX = 2

interface Outcome {
  readonly samples: readonly { readonly openFiles: number; readonly activeRequests: number }[]
  readonly load: {
    readonly counts: Readonly<Record<string, number>>
    readonly unexpected: number
    readonly examples: readonly string[]
  }
  readonly loggedErrors: readonly string[]
  readonly problems: readonly string[]
}

/** Kinds of load that any run of this length has, however slow the machine. */
const COMMON = ['generate', 'decrypt', 'refused', 'aborted', 'connection dropped', 'log stream']

function runSoak(): Promise<{ readonly exitCode: unknown; readonly outcome: Outcome }> {
  const args = [PROGRAM, 'soak', '--seconds', String(SECONDS), '--workers', '8', '--json']
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      if (stdout === '') reject(new Error(`the soak printed no outcome: ${stderr}`))
      else resolve({ exitCode: error?.code ?? 0, outcome: JSON.parse(stdout) as Outcome })
    })
  })
}

test.runIf(process.platform === 'linux')(
  'after requests good and bad, dropped connections and log streams nothing stays open',
  { timeout: TIMEOUT_MS },
  async () => {
    const { exitCode, outcome } = await runSoak()
    expect(outcome.problems).toEqual([])
    expect(exitCode).toBe(0)

    const { samples, load, loggedErrors } = outcome
    expect(load).toMatchObject({ unexpected: 0, examples: [] })
    expect(loggedErrors).toEqual([])
    expect(Object.keys(load.counts)).toEqual(expect.arrayContaining(COMMON))
    const openFiles = samples.slice(Math.floor(samples.length / 2)).map((sample) => sample.openFiles)
    expect(Math.max(...openFiles) - Math.min(...openFiles)).toBeLessThanOrEqual(OPEN_FILES_DIFFERENCE_MAX)
    expect(samples.map((sample) => sample.activeRequests)).toEqual(samples.map(() => 0))
  },
)
