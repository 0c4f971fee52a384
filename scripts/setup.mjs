// Installs the pinned tool chain and all dependencies with the pinned pnpm, unless they are up to date.
// Plain JavaScript: it must run on Node 20, before the pinned Node is there.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Not `packageManager` in package.json: pnpm would then want itself in the lockfile, with a registry's answer. */
const PNPM = 'pnpm@12.21.0'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampFile = join(root, 'node_modules', '.latchkey-setup')

/** A digest of all that decides what an install gives: manifests, lockfile, platform. */
function inputsDigest() {
  const manifests = readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'package.json'))
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', ...manifests.sort()]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(file).update(readFileSync(path))
  }
  return hash.digest('hex')
}

function isUpToDate(digest) {
  return (
    existsSync(stampFile) &&
    readFileSync(stampFile, 'utf8') === digest &&
    existsSync(join(root, 'node_modules', '.bin', 'node'))
  )
}

const digest = inputsDigest()
if (!isUpToDate(digest)) {
  console.error(`Installing dependencies with ${PNPM} (only when they have changed) ...`)
  const { status, error } = spawnSync(
    'npx',
    ['--yes', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only'],
    { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' },
  )
  if (error) console.error(`Setup failed: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
  writeFileSync(stampFile, inputsDigest())
}
