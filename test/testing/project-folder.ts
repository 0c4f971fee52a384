/** Where the tests of a file install the packages as they are published. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { buildPackages } from '../../scripts/published-project.ts'

const BUILD_TIMEOUT_MS = 120_000

/** Builds the packages before the tests of the file that calls it. The folder is removed after them. */
export function makeProjectFolder(): { readonly path: string } {
  const folder = { path: '' }
  beforeAll(() => {
    folder.path = mkdtempSync(join(tmpdir(), 'latchkey-published-'))
    buildPackages()
  }, BUILD_TIMEOUT_MS)
  afterAll(() => {
    rmSync(folder.path, { recursive: true })
  })
  return folder
}
