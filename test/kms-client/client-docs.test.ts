/** docs/client.md: its programs, run as whoever copies them would run them, and its table of what is repeated. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startKes } from '@latchkey/kms-client/testing'
import { expect, test } from 'vitest'
import { run } from '../peers/peer.ts'
import { type CallKind, EVERY_CALL } from './every-call.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const DOCUMENT = readFileSync(join(ROOT, 'docs/client.md'), 'utf8')

/** A program, and what it prints. */
const PROGRAM = /^```ts\n([\s\S]*?)^```\n+^```text\n([\s\S]*?)^```$/gm

test('every program of docs/client.md prints what stands below it', async () => {
  const programs = [...DOCUMENT.matchAll(PROGRAM)]
  expect(programs).toHaveLength(DOCUMENT.match(/^```ts$/gm)?.length ?? 0)
  expect(programs.length).toBeGreaterThan(3)

  await using kes = await startKes({ keys: ['invoices', 'minio-default'] })
  const env = { ...process.env, ...kes.env, MINIO_KMS_KES_KEY_NAME: 'minio-default' }
  for (const [, program = '', printed] of programs) {
    // Module and types as in a file `.ts`; what it imports is found from the folder of the process.
    const args = ['--input-type=module-typescript', '--eval', program]
    const { code, stdout, stderr } = await run(process.execPath, args, { cwd: ROOT, env })
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: printed, stderr: '' })
  }
})

const REPEATED: Readonly<Record<CallKind, string>> = {
  read: 'yes',
  use: 'yes',
  'repeatable change': 'yes',
  change: 'no',
  stream: 'to open',
}

test('the table of what is repeated names every call, with what the fault matrix shows of it', () => {
  const [, table = ''] = DOCUMENT.split('| Call | Tried again | Because |\n')
  const rows = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| (`.*?`) \| (yes|no|to open) \|/gm)]
  const documented = rows.flatMap(([, calls = '', repeated]) =>
    [...calls.matchAll(/`(\w+)`/g)].map(([, call = '']) => [call, repeated] as const),
  )
  const real = Object.entries(EVERY_CALL).map(([call, { kind }]) => [call, REPEATED[kind]])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(real))
})
