/** The harness from the packages as they are published: compiled, in the `node_modules` of somebody else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildPackages, makePublishedProject } from '../../scripts/published-project.ts'
import { type Run, run } from '../peers/peer.ts'

const ROOT = join(import.meta.dirname, '../..')
const BUILD_TIMEOUT_MS = 120_000

const PROGRAM = `
import { startKes } from '@latchkey/kms-client/testing'

for (const place of ['same', 'child'] as const) {
  await using kes = await startKes({ keys: ['orders'], process: place })
  await kes.lock('orders')
  const refusal: unknown = await kes.client.generateKey('orders').catch((error: unknown) => error)
  console.log(place, refusal instanceof Error ? refusal.name : 'none')
}
`

let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-published-'))
  buildPackages()
}, BUILD_TIMEOUT_MS)

afterAll(() => {
  rmSync(folder, { recursive: true })
})

function makeProject(name: string, packages: readonly string[]): string {
  const project = join(folder, name)
  makePublishedProject(project, packages)
  writeFileSync(join(project, 'program.ts'), PROGRAM)
  return project
}

function runProgram(project: string): Promise<Run> {
  return run(process.execPath, ['program.ts'], { cwd: project })
}

test('with the server beside it, runs in the process and in a child', async () => {
  const { code, stdout, stderr } = await runProgram(makeProject('whole', ['kms-client', 'kes-server']))

  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toBe('same KeyDisabledError\nchild KeyDisabledError\n')
})

test('without the server has all its types, and says what to install', async () => {
  const project = makeProject('half', ['kms-client'])
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,esnext',
  ]
  const types = await run(
    join(ROOT, 'node_modules/.bin/tsc'),
    [...options, '--types', 'node', 'program.ts'],
    { cwd: project },
  )
  const { code, stderr } = await runProgram(project)

  expect(types).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(code).toBe(1)
  expect(stderr).toContain(
    "KeyServerMissingError: startKes() runs the package '@latchkey/kes-server', which is not installed",
  )
})
