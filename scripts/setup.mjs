// Installs the pinned tool chain and all dependencies with the pinned pnpm, and builds the page of the console, unless
// they are up to date.
// Plain JavaScript: it must run on Node 20, before the pinned Node is there.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PNPM } from './pnpm.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampFile = join(root, 'node_modules', '.latchkey-setup')
const pageStampFile = join(root, 'node_modules', '.latchkey-page')
const pinnedNode = join(root, 'node_modules', '.bin', 'node')
const consoleFolder = join(root, 'packages', 'console')

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
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === digest && existsSync(pinnedNode)
}

/** A digest of all that decides what the page is built to. */
function pageDigest() {
  const sources = readdirSync(join(consoleFolder, 'page'), { recursive: true })
    .map((name) => join('page', name))
    .filter((name) => !name.endsWith('.test.ts') && statSync(join(consoleFolder, name)).isFile())
  const hash = createHash('sha256').update(readFileSync(join(root, 'pnpm-lock.yaml')))
  for (const file of [...sources.sort(), 'vite.config.ts']) {
    hash.update(`${file}\n`).update(readFileSync(join(consoleFolder, file)))
  }
  return hash.digest('hex')
}

function isPageUpToDate(digest) {
  return (
    existsSync(pageStampFile) &&
    readFileSync(pageStampFile, 'utf8') === digest &&
    existsSync(join(consoleFolder, 'dist', 'index.html'))
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

const page = pageDigest()
if (!isPageUpToDate(page)) {
  console.error('Building the page of the console (only when it has changed) ...')
  const vite = join(consoleFolder, 'node_modules', 'vite', 'bin', 'vite.js')
  const { status, error } = spawnSync(pinnedNode, [vite, 'build'], {
    cwd: consoleFolder,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error) console.error(`Setup failed: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
  writeFileSync(pageStampFile, page)
}
