// `npm run tarballs`: the server, its client and its console as they are published, for who installs them without a registry.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PNPM } from './pnpm.mjs'
import { buildPackages } from './published-project.ts'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const PACKAGES = ['kms-client', 'console', 'kes-server']

const folder = resolve(process.argv[2] ?? join(ROOT, 'build/packages'))
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
buildPackages()
for (const name of PACKAGES) {
  // pnpm's own, because npm leaves `workspace:*` and the fields of `publishConfig` as they are.
  const { status } = spawnSync('npx', ['--yes', PNPM, 'pack', '--pack-destination', folder], {
    cwd: join(ROOT, 'packages', name),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}
console.log(folder)
