/** `npm run demo`: the story of a key, played on servers of its own, which are gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { heading, report, stepText, summary } from './demo/report.ts'
import type { StepResult } from './demo/step.ts'
import { playStory } from './demo/story.ts'
import { aborted, isInterruption, reportFailure, stopSignal } from './outcome.ts'
import { KES } from './sandbox/programs.ts'
import { type Sandbox, startSandbox } from './sandbox/sandbox.ts'

const HELP = `npm run demo -- [options]

Shows on real data what a lock, a resume and an erasure of a key do: with a key server and a storage node of its
own, in a temporary folder, which is removed. Exit code 0 only if every step went as it should.

Options:
  --json    Print one JSON document at the end, instead of the story
  --help    Print this help

To try things yourself: npm start
`

/** As a shell has it. */
const INTERRUPTED = 130

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { json: { type: 'boolean' }, help: { type: 'boolean' } } })
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const tell = values.json ? () => {} : (text: string) => process.stdout.write(text)
  const signal = stopSignal()
  using stack = new DisposableStack()
  const folder = stack.adopt(mkdtempSync(join(tmpdir(), 'latchkey-demo-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  )
  tell(heading())
  await using sandbox = await startSandbox({
    folder: join(folder, 'sandbox'),
    certificates: join(folder, 'certs'),
    host: '127.0.0.1',
    ports: {},
    onLockedKey: () => {}, // There is no such key in a folder that was empty.
    signal,
  })
  const steps = [startStep(sandbox, performance.now())]
  for (const step of steps) tell(stepText(step, 1))
  const { facts, apiKey, secretKey } = sandbox
  const stop = async () => await sandbox[Symbol.asyncDispose]()
  const story = playStory({ facts, apiKey, secretKey, kes: KES, stop }, (step) => {
    steps.push(step)
    tell(stepText(step, steps.length))
  })
  await Promise.race([story, sandbox.failure, aborted(signal)])
  const totalMs = performance.now()
  process.stdout.write(values.json ? report(steps, totalMs) : summary(steps, totalMs))
  return steps.every(({ ok }) => ok) ? 0 : 1
}

function startStep({ facts }: Sandbox, ms: number): StepResult {
  return {
    id: 'start',
    title: 'A key server and a storage node start on this machine',
    proves: 'Two programs: the node has an identity of its own, which may create keys, generate, decrypt.',
    commands: [],
    claims: [
      { claim: `the key server serves at ${facts.keyServer}`, holds: true },
      { claim: `S3 serves at ${facts.node}`, holds: true },
    ],
    exhibits: [],
    ok: true,
    ms,
  }
}

process.exitCode = await main().catch((error) => (isInterruption(error) ? INTERRUPTED : reportFailure(error)))
