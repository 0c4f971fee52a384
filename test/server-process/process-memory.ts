/** Looks into the memory of running processes, as a debugger or a core image would. Linux, and root's or the owner's. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

const CHUNK_BYTES = 4 * 1024 * 1024

export interface Found {
  /** Which of the needles. */
  readonly name: string
  /** Address, in hex. */
  readonly at: string
  /** What the memory is: `[heap]`, `[stack]`, a file, or nothing for what the program has taken itself. */
  readonly region: string
  /** Some bytes around it, as text. */
  readonly around: string
}

/** The process and all that it started, and these, and so on. */
export function processTree(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
  return [pid, ...children.flatMap((child) => processTree(Number(child)))]
}

/** @returns each place of a readable page at which one of the needles stands. */
export function searchMemory(pid: number, needles: Readonly<Record<string, Buffer>>): Found[] {
  const longest = Math.max(...Object.values(needles).map(({ length }) => length))
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const chunk = Buffer.alloc(CHUNK_BYTES)
  const found: Found[] = []
  try {
    for (const { start, end, path } of readableRegions(pid)) {
      for (let at = start; at < end; at += BigInt(CHUNK_BYTES - longest)) {
        const length = Number(end - at < BigInt(CHUNK_BYTES) ? end - at : BigInt(CHUNK_BYTES))
        const read = readChunk(memory, chunk, length, at)
        for (const [name, needle] of Object.entries(needles)) {
          for (const offset of offsetsOf(needle, chunk.subarray(0, read))) {
            const around = chunk.subarray(
              Math.max(0, offset - 60),
              Math.min(read, offset + needle.length + 30),
            )
            found.push({
              name,
              at: (at + BigInt(offset)).toString(16),
              region: path,
              around: around.toString('latin1').replace(/[^\x20-\x7e]/g, '.'),
            })
          }
        }
      }
    }
  } finally {
    closeSync(memory)
  }
  return found
}

interface Region {
  readonly start: bigint
  readonly end: bigint
  readonly path: string
}

function readableRegions(pid: number): Region[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, start = '', end = '', path = ''] =
        /^([0-9a-f]+)-([0-9a-f]+) r\S* \S+ \S+ \S+ *(.*)$/.exec(line) ?? []
      // The kernel's own pages, which nobody can write.
      if (start === '' || path.startsWith('[v')) return []
      return { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), path }
    })
}

/** @returns 0 for a page that can't be read, such as one that was unmapped since. */
function readChunk(memory: number, chunk: Buffer, length: number, at: bigint): number {
  try {
    return readSync(memory, chunk, 0, length, at)
  } catch {
    return 0
  }
}

function offsetsOf(needle: Buffer, bytes: Buffer): number[] {
  const offsets: number[] = []
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) offsets.push(at)
  return offsets
}
