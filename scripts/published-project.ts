/** Projects of somebody else that have installed the packages as they are published. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

/** Compiles all packages. @throws Error with what the compiler says. */
export function buildPackages(): void {
  const PATH = [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.ts'], {
    cwd: ROOT,
    env: { ...process.env, PATH },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the packages can't be built:\n${stdout}${stderr}`)
}

/** Makes `folder` a project with these packages, which have been built, and all that they depend on. */
export function makePublishedProject(folder: string, packages: readonly string[]): void {
  for (const name of packages) {
    const source = join(ROOT, 'packages', name)
    const target = join(folder, 'node_modules/@latchkey', name)
    mkdirSync(target, { recursive: true })
    cpSync(join(source, 'dist'), join(target, 'dist'), { recursive: true })
    const { publishConfig, ...manifest } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
    writeFileSync(join(target, 'package.json'), JSON.stringify({ ...manifest, ...publishConfig }))
    for (const dependency of Object.keys(manifest.dependencies ?? {})) link(source, folder, dependency)
  }
  link(ROOT, folder, '@types/node')
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
}

function link(source: string, folder: string, dependency: string): void {
  const target = join(folder, 'node_modules', dependency)
  if (dependency.startsWith('@latchkey/') || existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  symlinkSync(realpathSync(join(source, 'node_modules', dependency)), target)
}
