// `npm run build`: the packages as they are published, compiled to JavaScript with declarations in `dist/`. The console has
// its page there, which was built by the setup that goes before.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
/** In the order of their dependencies. */
const PACKAGES = ['kms-client', 'console', 'kes-server', 'storage-node']

for (const name of PACKAGES) {
  const folder = join(ROOT, 'packages', name)
  const output = name === 'console' ? 'build' : 'dist'
  rmSync(join(folder, output), { recursive: true, force: true })
  const { status } = spawnSync('tsc', ['--project', join(folder, 'tsconfig.build.json')], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
  copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
  console.log(`packages/${name}/${output}`)
}
for (const name of ['kes-server', 'storage-node']) {
  chmodSync(join(ROOT, 'packages', name, 'dist/main.js'), 0o755)
}
