/** Where the programs are that the sandbox starts: the ones that `npx kes` and `npx latchkey-node` run. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** @returns the path of the program that a package's manifest names, of the one that it has. */
function programOf(packageName: string): string {
  const folder = dirname(dirname(fileURLToPath(import.meta.resolve(packageName))))
  const { bin }: { bin: Record<string, string> } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  )
  const [program = ''] = Object.values(bin)
  return join(folder, program)
}

/** Of the repository. */
export const ROOT = dirname(dirname(dirname(dirname(import.meta.dirname))))
export const KES = programOf('@latchkey/kes-server')
export const NODE = programOf('@latchkey/storage-node')
