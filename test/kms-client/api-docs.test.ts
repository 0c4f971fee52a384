/** The reference of the client's exports, which TypeDoc makes from the source. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../peers/peer.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const FOLDER = join(ROOT, 'scripts/api-docs')
const TIMEOUT_MS = 120_000

test(
  'can be made without a warning: every link leads somewhere, and every type that is shown is exported',
  async () => {
    const args = [join(FOLDER, 'node_modules/typedoc/bin/typedoc'), '--options', join(FOLDER, 'typedoc.json')]
    const { code, stdout, stderr } = await run(process.execPath, [...args, '--emit', 'none'], {
      cwd: ROOT,
      env: process.env,
      timeoutMs: TIMEOUT_MS,
    })
    expect({ code, output: stdout + stderr }).toEqual({ code: 0, output: '' })
  },
  TIMEOUT_MS,
)

test('has a part for each export of the package', () => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'packages/kms-client/package.json'), 'utf8'))
  const { entryPoints } = JSON.parse(readFileSync(join(FOLDER, 'typedoc.json'), 'utf8'))
  const files = Object.values(exports).map((file) => join(ROOT, 'packages/kms-client', String(file)))
  expect(entryPoints.map((file: string) => join(FOLDER, file))).toEqual(files)
})
