// `npm run build`: the packages as they are published, bundled to JavaScript with declarations beside it, in `dist/`. The
// console has its page there, which was built by the setup that goes before.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BundledPackage, bundle } from './bundle.ts'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const PACKAGES = join(ROOT, 'packages')

/** In the order of their dependencies. */
const BUNDLED: readonly BundledPackage[] = [
  { folder: join(PACKAGES, 'kms-client'), source: 'src', output: 'dist', programs: ['testing/child.js'] },
  { folder: join(PACKAGES, 'console'), source: 'server', output: 'build' },
  {
    folder: join(PACKAGES, 'kes-server'),
    source: 'src',
    output: 'dist',
    programs: ['workers/main.js'],
    starts: {
      command: ['cli/process-io.ts', 'cli/program.ts'],
      server: ['cli/server-command.ts', 'cli/run-server.ts'],
      single: ['memory-server.ts', 'single-process.ts'],
      supervisor: ['several-processes.ts', 'core.ts', 'http/routes.ts'],
      worker: ['workers/worker.ts'],
    },
  },
  { folder: join(PACKAGES, 'storage-node'), source: 'src', output: 'dist' },
]

for (const bundled of BUNDLED) {
  const { folder, output } = bundled
  rmSync(join(folder, output), { recursive: true, force: true })
  const { status } = spawnSync('tsc', ['--project', join(folder, 'tsconfig.build.json')], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
  await bundle(bundled)
  copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'))
  console.log(relative(ROOT, join(folder, output)))
}
for (const name of ['kes-server', 'storage-node']) chmodSync(join(PACKAGES, name, 'dist/main.js'), 0o755)
