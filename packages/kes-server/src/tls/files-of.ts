import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A file itself; of a folder the files in it, in the order of their names. Links count as what they lead to: where
 * Kubernetes mounts a secret or a config map, each file is a link, and beside them stands one to the folder that has
 * them all.
 *
 * @throws the error of `node:fs` if something can't be looked at.
 */
export function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const entries = readdirSync(path).sort()
  return entries.map((name) => join(path, name)).filter((entry) => statSync(entry).isFile())
}
