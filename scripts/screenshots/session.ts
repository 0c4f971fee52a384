/** A session in a terminal of the sandbox: commands that are really run, and what they have printed. */
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { SandboxFacts } from '../../packages/play/src/sandbox/sandbox.ts'

const ROOT = join(import.meta.dirname, '../..')

export interface Entry {
  readonly command: string
  readonly remark?: string
  readonly output: readonly string[]
  readonly failed: boolean
  readonly ms: number
}

const COMMANDS: readonly (readonly [command: string, remark?: string])[] = [
  ['npx kes key create my-key', 'a key that never leaves the key server'],
  ['aws s3 mb s3://demo'],
  ["echo 'The latch holds.' > letter.txt"],
  ['aws s3 cp letter.txt s3://demo/ --sse aws:kms --sse-kms-key-id my-key --no-progress'],
  ['aws s3 cp s3://demo/letter.txt -'],
  ['npx kes key disable my-key', 'lock'],
  ['aws s3 cp s3://demo/letter.txt -'],
  ['aws s3 ls s3://demo', 'lists go on'],
  ['npx kes key enable my-key', 'resume'],
  ['aws s3 cp s3://demo/letter.txt -'],
  ['npx kes key rm my-key --receipt receipt.json', 'erase'],
  ['aws s3 cp s3://demo/letter.txt -'],
  ['npx kes receipt verify --public-key journal.pub receipt.json'],
]

export async function recordSession(facts: SandboxFacts, folder: string): Promise<Entry[]> {
  mkdirSync(folder)
  await runIn(folder, facts, `cp '${facts.folder}/keys.db.journal.pub' journal.pub`)
  const entries: Entry[] = []
  for (const [command, remark] of COMMANDS) {
    const beganMs = performance.now()
    const { output, failed } = await runIn(folder, facts, command)
    const ms = performance.now() - beganMs
    entries.push({ command, ...(remark === undefined ? {} : { remark }), output, failed, ms })
  }
  return entries
}

function runIn(
  cwd: string,
  facts: SandboxFacts,
  command: string,
): Promise<{ output: string[]; failed: boolean }> {
  // What npx would find in the repository.
  const PATH = `${join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`
  const script = `. '${facts.environmentFile}'; exec 2>&1; ${command.replace(/^npx /, '')}`
  return new Promise((done) => {
    execFile('sh', ['-c', script], { cwd, env: { PATH, HOME: cwd, COLUMNS: '96' } }, (error, stdout) =>
      done({ output: stdout.trim() === '' ? [] : stdout.trim().split('\n'), failed: error !== null }),
    )
  })
}
