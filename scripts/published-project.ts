/** Projects of somebody else that have installed the packages as they are published. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
/** What is built, below `packages`. */
const OUTPUTS = ['kms-client/dist', 'console/build', 'kes-server/dist', 'storage-node/dist']

/** What `dist` was built from. */
const STAMP = join(ROOT, 'node_modules/.cache/latchkey-build')
const WAIT_MS = 100

/**
 * Builds all packages, unless that was done since they have changed. Whoever asks meanwhile, in another process, waits.
 *
 * @throws Error with what the build says.
 */
export function buildPackages(): void {
  mkdirSync(dirname(STAMP), { recursive: true })
  const lock = `${STAMP}.lock`
  takeLock(lock)
  try {
    const digest = digestOfSources()
    const isBuilt = existsSync(STAMP) && readFileSync(STAMP, 'utf8') === digest
    if (isBuilt && OUTPUTS.every((output) => existsSync(join(ROOT, 'packages', output, 'index.js')))) return
    build()
    writeFileSync(STAMP, digest)
  } finally {
    rmSync(lock)
  }
}

function build(): void {
  const PATH = [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.ts'], {
    cwd: ROOT,
    env: { ...process.env, PATH },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the packages can't be built:\n${stdout}${stderr}`)
}

function takeLock(path: string): void {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    if (!isHeld(path)) rmSync(path, { force: true })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS)
  }
}

/** False if the process that took it was killed. */
function isHeld(path: string): boolean {
  if (!existsSync(path)) return true // Given back a moment ago, or taken by somebody else by now.
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

function digestOfSources(): string {
  const list = [
    'ls-files',
    '-z',
    '--cached',
    '--others',
    '--exclude-standard',
    'packages',
    'scripts',
    'tsconfig.json',
    'pnpm-lock.yaml',
  ]
  const { stdout } = spawnSync('git', list, { cwd: ROOT, encoding: 'utf8' })
  const hash = createHash('sha256')
  for (const path of stdout.split('\0').filter((each) => each !== '' && existsSync(join(ROOT, each)))) {
    hash.update(`${path}\n`).update(readFileSync(join(ROOT, path)))
  }
  return hash.digest('hex')
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
    linkDependencies(folder, name)
  }
  link(ROOT, folder, '@types/node')
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
}

/** Gives `folder` the dependencies of this package, as they are installed here. */
export function linkDependencies(folder: string, name: string): void {
  const source = join(ROOT, 'packages', name)
  const { dependencies = {} } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  for (const dependency of Object.keys(dependencies)) link(source, folder, dependency)
}

function link(source: string, folder: string, dependency: string): void {
  const target = join(folder, 'node_modules', dependency)
  if (dependency.startsWith('@latchkey/') || existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  symlinkSync(realpathSync(join(source, 'node_modules', dependency)), target)
}
