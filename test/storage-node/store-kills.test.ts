/** Whenever a process is killed: what it had answered is there, what it had not is there whole or not at all. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { FileObjectStore, fsck } from '@latchkey/storage-node'
import { expect, test } from 'vitest'
import { makeMemoryFolder } from '../memory-folder.ts'
import { BUCKET, follow, nothingStored, verify } from './stored-values.ts'

/** More with `STORE_KILLS=5000`. */
const KILLS = Number(process.env.STORE_KILLS ?? 100)
const WRITER = join(import.meta.dirname, 'store-writer.ts')
/** How many live and die at a time. */
const STORES = 2
const ENVIRONMENT = {
  ...process.env,
  NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/compile'),
}
const RUN_MS_MAX = 250
/** After so many kills, the files are checked against the index, too. */
const KILLS_PER_FSCK = 10
const TIMEOUT_MS = 60_000 + KILLS * 3000

async function runAndKill(folder: string, seed: number): Promise<string> {
  const writer: ChildProcessByStdio<null, Readable, Readable> = spawn(
    process.execPath,
    [WRITER, folder, `${seed}`],
    {
      env: ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  let errors = ''
  const ready = Promise.withResolvers<void>()
  writer.stdout.on('data', (data) => {
    output += data
    if (output.includes('ready\n')) ready.resolve()
  })
  writer.stderr.on('data', (data) => {
    errors += data
  })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    writer.on('close', (_, signal) => resolve(signal))
  })
  await Promise.race([ready.promise, ended])
  await Promise.race([sleep(Math.random() * RUN_MS_MAX), ended])
  writer.kill('SIGKILL')
  expect({ signal: await ended, errors }).toEqual({ signal: 'SIGKILL', errors: '' })
  return output
}

/** Fills the cache, which a process that is killed does not: else most of a life goes into compiling the store. */
async function liveOnce(): Promise<void> {
  const folder = makeMemoryFolder()
  try {
    const writer = spawn(process.execPath, [WRITER, folder, '1', '1'], { env: ENVIRONMENT, stdio: 'ignore' })
    expect(await new Promise((resolve) => writer.on('close', resolve))).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** @returns how many changes were answered. */
async function killAgainAndAgain(kills: number): Promise<number> {
  // A kill takes nothing that was written, be it on a disk or not; without one, more happens until it comes.
  const folder = makeMemoryFolder()
  const expected = nothingStored()
  let answered = 0
  try {
    for (let kill = 1; kill <= kills; kill++) {
      const output = await runAndKill(folder, Math.floor(Math.random() * 2 ** 32))
      follow(expected, output)
      answered += output.split('\ndone ').length - 1
      const store = await FileObjectStore.open(folder)
      try {
        expect(readdirSync(join(folder, 'incoming'))).toEqual([])
        await verify(store, expected)
        for (const upload of store.uploads(BUCKET, { max: 1000 }).items) await store.abortUpload(upload)
      } finally {
        await store[Symbol.asyncDispose]()
      }
      if (kill % KILLS_PER_FSCK === 0) expect((await fsck(folder, { content: true })).problems).toEqual([])
    }
    return answered
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test(`of ${KILLS} kills none loses what was answered, or leaves half of anything`, {
  timeout: TIMEOUT_MS,
}, async () => {
  await liveOnce()
  const each = Math.ceil(KILLS / STORES)
  const answered = await Promise.all(Array.from({ length: STORES }, () => killAgainAndAgain(each)))
  // Else the kills came too early to show anything.
  expect(answered.reduce((sum, each) => sum + each)).toBeGreaterThan(KILLS)
})
