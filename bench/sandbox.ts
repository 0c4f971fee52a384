/** What does a test pay for a key server of its own? */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { buildPackages, makePublishedProject } from '../scripts/published-project.ts'
import { type Program, parseCount } from './program.ts'
import type { Steps } from './sandbox/measure.ts'
import { summarize } from './statistics.ts'
import { formatNumber, formatTable } from './table.ts'

const MEASURE = join(import.meta.dirname, 'sandbox/measure.ts')
const PACKAGES = ['kms-client', 'kes-server']
const ROOT = join(import.meta.dirname, '..')
const EXAMPLE = 'examples/vitest/notes.test.ts'
const NEXT_STARTS = 5

const HELP = `npm run bench -- sandbox [options]

What does a test pay for a key server of its own? Builds the packages, as they are published, and starts 'startKes' in
new processes: the first one, which loads the server's modules, those after it, and one in a child process. Prints the
medians of all steps in milliseconds, and how long the tests of the example application in examples/vitest take.

  --rounds N   new processes of each kind    (default: 7)
  --json       one JSON line instead of a table
`

const STEPS: readonly (readonly [step: keyof Steps, title: string])[] = [
  ['startMs', 'start'],
  ['firstCallMs', 'first call'],
  ['callMs', 'call'],
  ['lockMs', 'lock'],
  ['faultMs', 'fault'],
  ['resetMs', 'reset'],
  ['stopMs', 'stop'],
]

interface Result {
  readonly first: Steps
  readonly next: Steps
  readonly child: Steps
  readonly example: { readonly tests: number; readonly ms: number }
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '7' },
      json: { type: 'boolean', default: false },
    },
  })
  const result = {
    ...(await measureStarts(parseCount('rounds', values.rounds))),
    example: await measureExample(),
  }
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : report(result))
  return 0
}

async function measureStarts(rounds: number): Promise<Omit<Result, 'example'>> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  try {
    buildPackages()
    makePublishedProject(folder, PACKAGES)
    const program = join(folder, 'measure.ts')
    copyFileSync(MEASURE, program)
    const [first, next, child]: [Steps[], Steps[], Steps[]] = [[], [], []]
    for (let round = 0; round < rounds; round += 1) {
      const [cold, ...warm] = await measure(program, 'same', 1 + NEXT_STARTS)
      if (cold !== undefined) first.push(cold)
      next.push(...warm)
      child.push(...(await measure(program, 'child', 1)))
    }
    return { first: medians(first), next: medians(next), child: medians(child) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure(program: string, place: 'same' | 'child', times: number): Promise<Steps[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, place, String(times)])
  return JSON.parse(stdout)
}

function medians(measured: readonly Steps[]): Steps {
  const median = (step: keyof Steps): number => summarize(measured.map((steps) => steps[step])).median
  return {
    startMs: median('startMs'),
    firstCallMs: median('firstCallMs'),
    callMs: median('callMs'),
    lockMs: median('lockMs'),
    faultMs: median('faultMs'),
    resetMs: median('resetMs'),
    stopMs: median('stopMs'),
  }
}

/** As vitest reports it: the time of the tests, without the start of vitest itself. */
async function measureExample(): Promise<Result['example']> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const reportFile = join(folder, 'report.json')
  try {
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
    const args = [vitest, 'run', EXAMPLE, '--reporter=json', `--outputFile=${reportFile}`]
    await promisify(execFile)(process.execPath, args, { cwd: ROOT })
    const { testResults } = JSON.parse(readFileSync(reportFile, 'utf8')) as {
      testResults: { startTime: number; endTime: number; assertionResults: unknown[] }[]
    }
    const [file] = testResults
    if (file === undefined) throw new Error(`${EXAMPLE} has not run`)
    return { tests: file.assertionResults.length, ms: file.endTime - file.startTime }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function report({ first, next, child, example }: Result): string {
  const row = (title: string, steps: Steps) => [title, ...STEPS.map(([step]) => formatNumber(steps[step]))]
  const table = formatTable(
    ['median ms', ...STEPS.map(([, title]) => title)],
    [row('first of a process', first), row('next ones', next), row('child process', child)],
  )
  return `${table}\nThe ${example.tests} tests of ${EXAMPLE}: ${formatNumber(example.ms)} ms\n`
}

export const sandboxProgram: Program = {
  question:
    'What does a test pay for a key server of its own? Start, lock, faults, reset and stop of a sandbox.',
  help: HELP,
  run,
}
