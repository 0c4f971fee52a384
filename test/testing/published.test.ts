/** The harness from the packages as they are published: compiled, in the `node_modules` of somebody else. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
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

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-published-'))
  const PATH = [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  const build = await run(process.execPath, ['scripts/build.ts'], {
    cwd: ROOT,
    env: { PATH },
    timeoutMs: BUILD_TIMEOUT_MS,
  })
  expect({ code: build.code, stderr: build.stderr }).toEqual({ code: 0, stderr: '' })
}, BUILD_TIMEOUT_MS)

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** A project with these packages, and what they depend on, installed. */
function makeProject(name: string, packages: readonly string[]): string {
  const project = join(folder, name)
  for (const each of packages) {
    const source = join(ROOT, 'packages', each)
    const target = join(project, 'node_modules/@latchkey', each)
    mkdirSync(target, { recursive: true })
    cpSync(join(source, 'dist'), join(target, 'dist'), { recursive: true })
    const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
    writeFileSync(join(target, 'package.json'), JSON.stringify({ ...manifest, ...manifest.publishConfig }))
    for (const dependency of Object.keys(manifest.dependencies)) link(source, project, dependency)
  }
  link(ROOT, project, '@types/node')
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
  writeFileSync(join(project, 'program.ts'), PROGRAM)
  return project
}

function link(source: string, project: string, dependency: string): void {
  const target = join(project, 'node_modules', dependency)
  if (dependency.startsWith('@latchkey/')) return
  mkdirSync(dirname(target), { recursive: true })
  if (readdirSync(dirname(target)).includes(dependency.split('/').at(-1) ?? '')) return
  symlinkSync(realpathSync(join(source, 'node_modules', dependency)), target)
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
