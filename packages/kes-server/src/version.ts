/** What this build is. */
import { readFileSync } from 'node:fs'

const manifest: { version: string; gitHead?: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)

/** `commit` is known in published packages alone, where npm writes it into the manifest. */
export const VERSION = { version: manifest.version, commit: manifest.gitHead ?? '<unknown>' } as const
