/** The harness from the packages as they are published: compiled, in the `node_modules` of somebody else. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { makePublishedProject } from '../../scripts/published-project.ts'
import { type Run, run } from '../peers/peer.ts'
import { makeProjectFolder } from './project-folder.ts'

const ROOT = join(import.meta.dirname, '../..')
/** With the folder of their JavaScript. */
const PACKAGES = [
  ['kms-client', 'dist'],
  ['console', 'build'],
  ['kes-server', 'dist'],
  ['storage-node', 'dist'],
] as const

/** An error is told by its class, which the package has in one of its files and shows in several. */
const PROGRAM = `
import { KeyDisabledError } from '@latchkey/kms-client'
import { KmsError, openKms } from '@latchkey/kms-client/kms'
import { startKes } from '@latchkey/kms-client/testing'

for (const place of ['same', 'child'] as const) {
  await using kes = await startKes({ keys: ['orders'], process: place })
  await kes.lock('orders')
  const refusal: unknown = await kes.client.generateKey('orders').catch((error: unknown) => error)
  const kms = openKms(kes.env)
  const kmsRefusal: unknown = await kms?.generateKey().catch((error: unknown) => error)
  await kms?.[Symbol.asyncDispose]()
  if (!(kmsRefusal instanceof KmsError)) throw kmsRefusal
  console.log(place, refusal instanceof KeyDisabledError, kmsRefusal.cause instanceof KeyDisabledError)
}
`

const projects = makeProjectFolder()

function makeProject(name: string, packages: readonly string[]): string {
  const project = join(projects.path, name)
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
  expect(stdout).toBe('same true true\nchild true true\n')
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

test.each(PACKAGES)(
  '%s exports from each of its paths what its source does, and has its types there',
  async (name) => {
    const folder = join(ROOT, 'packages', name)
    const { exports, publishConfig } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const paths = Object.entries<{ default: string; types: string }>(publishConfig.exports)
    expect(paths.map(([path]) => path)).toEqual(Object.keys(exports))
    for (const [path, published] of paths) {
      expect(existsSync(join(folder, published.types))).toBe(true)
      const modules = [exports[path], published.default].map((file) => pathToFileURL(join(folder, file)).href)
      const program = `for (const module of ${JSON.stringify(modules)}) console.log(Object.keys(await import(module)).join())`
      const { code, stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', program])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      const [source, output] = stdout.split('\n')
      expect(output).toBe(source)
    }
  },
)

/** Starting them would be another test: they serve, or wait for who has started them. */
const PROGRAMS = ['main.js', 'child.js']

test.each(PACKAGES)('every file of %s can be loaded', async (name, output) => {
  const files = readdirSync(join(ROOT, 'packages', name, output), { recursive: true, withFileTypes: true })
  const modules = files
    .filter((file) => file.name.endsWith('.js') && !PROGRAMS.includes(file.name))
    .map((file) => pathToFileURL(join(file.parentPath, file.name)).href)
  expect(modules).not.toEqual([])
  const program = `for (const module of ${JSON.stringify(modules)}) await import(module)`
  const { code, stderr } = await run(process.execPath, ['--input-type=module', '-e', program])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})
