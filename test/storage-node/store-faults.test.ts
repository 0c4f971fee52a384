/**
 * The n-th write, sync or rename of the object store's files fails, for a sample of all n. Whatever that does to the
 * change under way: nothing that was answered is lost, nothing is there by halves, and the store opens again.
 *
 * `STORE_FAULTS=all` tries every n with every fault; a number, so many of them.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { FileObjectStore, fsck } from '@latchkey/storage-node'
import { expect } from 'vitest'
import { type Fault, FaultShim, faultCases } from '../faults/fault-shim.ts'
import { makeMemoryFolder } from '../memory-folder.ts'
import { peerTest } from '../peers/peer.ts'
import { BUCKET, follow, nothingStored, verify } from './stored-values.ts'

const SAMPLE = process.env.STORE_FAULTS ?? '40'
const WRITER = join(import.meta.dirname, 'store-writer.ts')
/** Enough for each kind of change on each of three keys, more than once. */
const CHANGES = '25'
const SEED = '7'

interface Outcome {
  readonly operations: number
  readonly output: string
}

async function runWithFault(shim: FaultShim, at: number, how: Fault): Promise<Outcome> {
  const folder = makeMemoryFolder()
  try {
    const { env, count } = shim.plan({ folder, at, how })
    const writer = spawn(process.execPath, [WRITER, folder, SEED, CHANGES], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    const ended = new Promise<number | null>((resolve) => writer.on('close', resolve))
    const [output, errors, code] = await Promise.all([text(writer.stdout), text(writer.stderr), ended])
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    const operations = count()

    const expected = nothingStored()
    follow(expected, output)
    {
      await using store = await FileObjectStore.open(folder)
      if (store.buckets().length === 0) {
        expect(output).not.toContain('ready')
      } else {
        await verify(store, expected)
        for (const upload of store.uploads(BUCKET, { max: 1000 }).items) await store.abortUpload(upload)
      }
    }
    expect((await fsck(folder, { content: true })).problems).toEqual([])
    return { operations, output }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

peerTest(
  'cc',
  `no object is lost or halved where a write, sync or rename fails (${SAMPLE} of them)`,
  async () => {
    using shim = new FaultShim()
    const honest = await runWithFault(shim, 0, 'EIO')
    expect(honest.output).not.toContain('failed')
    expect(honest.operations).toBeGreaterThan(100)
    const problems: string[] = []
    let failed = 0
    for (const { at, how } of faultCases(honest.operations, SAMPLE)) {
      try {
        const { output } = await runWithFault(shim, at, how)
        if (/^failed /m.test(output)) failed += 1
      } catch (error) {
        problems.push(`operation ${at} of ${honest.operations}, ${how}: ${String(error)}`)
      }
    }
    expect(problems).toEqual([])
    // Else the faults hit nothing that anybody waits for.
    expect(failed).toBeGreaterThan(0)
  },
  SAMPLE === 'all' ? 36_000_000 : 60_000 + Number(SAMPLE) * 6000,
)
