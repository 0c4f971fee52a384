/** What Node keeps of a program that it has compiled, for the next start: of the packages as they are published. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makePublishedProject } from '../../scripts/published-project.ts'
import { startNodeProcess } from '../storage-node/node-process.ts'
import { makeProjectFolder } from '../testing/project-folder.ts'
import { Installation } from './installation.ts'

const projects = makeProjectFolder()

/** @returns the folder of the package in a project that has installed these, and lists what Node has kept of it. */
function install(name: string, packages: readonly string[]) {
  const project = mkdtempSync(join(projects.path, 'project-'))
  makePublishedProject(project, packages)
  const installed = join(project, 'node_modules/@latchkey', name)
  const kept = () =>
    readdirSync(join(installed, 'node_modules/.cache/compile'), {
      recursive: true,
      encoding: 'utf8',
    }).sort()
  return { program: join(installed, 'dist/main.js'), kept }
}

test.each([
  ['one process', 1],
  ['a supervisor and two workers', 2],
])('a server of %s that is killed once it is up has left all that it has compiled', async (_, workers) => {
  const { program, kept } = install('kes-server', ['kms-client', 'kes-server'])
  using installation = await Installation.make({ workers })
  const start = () => installation.start(undefined, { program })

  await using killed = await start()
  killed.kill('SIGSTOP') // It replaces nobody.
  for (const pid of killed.workers()) process.kill(pid, 'SIGKILL')
  await killed.stop('SIGKILL')
  const left = kept()
  expect(left.length).toBeGreaterThan(100)

  await using stopped = await start()
  expect(await stopped.stop()).toEqual({ code: 0, signal: null }) // At such an end Node writes what is missing.
  expect(kept()).toEqual(left)
})

test('so has a storage node', async () => {
  const { program, kept } = install('storage-node', ['kms-client', 'storage-node'])
  const args = [join(projects.path, 'objects'), '--address', '127.0.0.1:0']
  const env = { MINIO_KMS_SECRET_KEY: `my-key:${randomBytes(32).toString('base64')}` }

  await using killed = startNodeProcess(args, env, program)
  expect(await killed.ready, killed.stderr()).toBeDefined()
  killed.kill('SIGKILL')
  await killed.ended
  const left = kept()
  expect(left.length).toBeGreaterThan(50)

  await using stopped = startNodeProcess(args, env, program)
  expect(await stopped.ready).toBeDefined()
  stopped.kill('SIGTERM')
  expect(await stopped.ended).toBe(0)
  expect(kept()).toEqual(left)
})
