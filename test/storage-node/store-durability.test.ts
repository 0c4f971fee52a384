/**
 * What a change writes is on the disk before it is answered, and in the order that a power cut asks for: the file and
 * its directory's entry, then the index. Seen from the operations themselves, because no test can pull the plug.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { FaultShim } from '../faults/fault-shim.ts'
import { makeMemoryFolder } from '../memory-folder.ts'
import { peerTest } from '../peers/peer.ts'
import { NONE } from './stored-values.ts'

const WRITER = join(import.meta.dirname, 'store-writer.ts')
const CHANGES = 25
const SEED = '7'

interface Operation {
  readonly what: string
  /** From the folder. */
  readonly path: string
}

/** Operations of the process in their order. Its own words are in a file of the folder, so they are among them. */
async function record(
  shim: FaultShim,
  folder: string,
): Promise<{ operations: Operation[]; words: string[] }> {
  const log = join(folder, 'operations')
  const { env } = shim.plan({ folder: join(folder, 'watched'), at: 0, how: 'EIO', log })
  const said = join(folder, 'watched-words')
  const stdout = openSync(said, 'w')
  try {
    const writer = spawn(process.execPath, [WRITER, join(folder, 'watched-data'), SEED, `${CHANGES}`], {
      stdio: ['ignore', stdout, 'pipe'],
      env: { ...process.env, ...env },
    })
    const ended = new Promise<number | null>((resolve) => writer.on('close', resolve))
    if (writer.stderr === null) throw new Error('its errors are piped')
    const errors = await text(writer.stderr)
    expect({ code: await ended, errors }).toEqual({ code: 0, errors: '' })
  } finally {
    closeSync(stdout)
  }
  const operations = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [what = '', path = ''] = line.split(' ')
      return { what, path: relative(folder, path) }
    })
  return { operations, words: readFileSync(said, 'utf8').trim().split('\n') }
}

interface Change {
  readonly key: string
  readonly value: string
  readonly operations: readonly Operation[]
}

/** What was done between the words `begin` and `done` of each change. */
function changesOf(operations: readonly Operation[], words: readonly string[]): Change[] {
  const changes: Change[] = []
  const left = [...words]
  let current: Operation[] = []
  for (const operation of operations) {
    if (operation.path !== 'watched-words') {
      current.push(operation)
      continue
    }
    const [word, key = '', value = ''] = left.shift()?.split(' ') ?? []
    if (word === 'done') changes.push({ key, value, operations: current })
    current = []
  }
  expect(left).toEqual([])
  return changes
}

function indexOfLast(operations: readonly Operation[], what: string, path: string): number {
  return operations.findLastIndex((operation) => operation.what === what && operation.path === path)
}

peerTest(
  'cc',
  'a change is answered once its files and the index are on the disk, the files first',
  async () => {
    using shim = new FaultShim()
    const folder = makeMemoryFolder()
    try {
      const { operations, words } = await record(shim, folder)
      const changes = changesOf(operations, words)
      expect(changes).toHaveLength(CHANGES)
      const incoming = join('watched-data', 'incoming')
      const log = join('watched-data', 'index.db-wal')
      let files = 0
      const held = new Map<string, string>()
      for (const { key, value, operations } of changes) {
        const before = held.get(key) ?? NONE
        held.set(key, value)
        if (before === NONE && value === NONE) continue // A delete of what is not there changes nothing.
        const written = new Set(operations.filter(({ what }) => what === 'write').map(({ path }) => path))
        const newFiles = [...written].filter((path) => dirname(path) === incoming)
        files += newFiles.length
        const filesOnDisk = newFiles.map((path) => {
          const sync = indexOfLast(operations, 'sync', path)
          const entry = indexOfLast(operations, 'sync', incoming)
          expect(sync).toBeGreaterThan(indexOfLast(operations, 'write', path))
          expect(entry).toBeGreaterThan(operations.findIndex((operation) => operation.path === path))
          return Math.max(sync, entry)
        })
        // What a change before it makes of its superfluous files may be committed at any time, and waits for nobody.
        const logOnDisk = indexOfLast(operations, 'sync', log)
        const committed = indexOfLast(operations.slice(0, Math.max(0, logOnDisk)), 'write', log)
        expect(committed).toBeGreaterThan(Math.max(-1, ...filesOnDisk))
      }
      expect(files).toBeGreaterThan(CHANGES)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
  60_000,
)
