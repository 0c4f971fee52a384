/** The Python that has the S3 clients: `.ci/run` makes it, and a machine may have one of its own. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const MADE = fileURLToPath(new URL('../../../.ci/python/bin/python3', import.meta.url))

/** @returns undefined if no Python on this machine has the module. */
export function pythonWith(module: string): string | undefined {
  return [MADE, 'python3'].find(
    (python) =>
      (python !== MADE || existsSync(MADE)) && spawnSync(python, ['-c', `import ${module}`]).status === 0,
  )
}
