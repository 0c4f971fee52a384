/** Compiles the shim that makes the n-th write, sync or rename of a process fail, and says how to preload it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const FAULTS = ['ENOSPC', 'EIO', 'short', 'full'] as const
export type Fault = (typeof FAULTS)[number]

export interface FaultPlan {
  /** Without symbolic links. */
  readonly folder: string
  /** From 1; 0: nothing fails. */
  readonly at: number
  /** Slow: from then on nothing fails, but takes 1.5 s. */
  readonly how: Fault | 'slow'
  /** A file to which each operation is appended, before it is made: `write PATH`, `sync PATH`, `rename PATH`. */
  readonly log?: string
  /** While this file is there, no read, write, sync or rename of files below the folder returns. */
  readonly hang?: string
}

export class FaultShim implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'latchkey-shim-'))
  #runs = 0

  constructor() {
    const source = join(import.meta.dirname, 'fault-shim.c')
    const args = ['-O1', '-Wall', '-Werror', '-shared', '-fPIC', '-o', this.#library, source, '-ldl']
    const { status, stderr } = spawnSync('cc', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the shim does not compile: ${stderr}`)
  }

  get #library(): string {
    return join(this.#folder, 'fault-shim.so')
  }

  /** The environment of a process, and how many operations it has counted so far. */
  plan({ folder, at, how, log, hang }: FaultPlan): {
    readonly env: Record<string, string>
    readonly count: () => number
  } {
    this.#runs += 1
    const countFile = join(this.#folder, `count-${this.#runs}`)
    return {
      env: {
        LD_PRELOAD: this.#library,
        FAULT_FOLDER: folder,
        FAULT_AT: String(at),
        FAULT_HOW: how,
        FAULT_COUNT: countFile,
        ...(log !== undefined && { FAULT_LOG: log }),
        ...(hang !== undefined && { FAULT_HANG: hang }),
      },
      count: () => Number(readFileSync(countFile).readBigInt64LE()),
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true })
  }
}

export interface FaultCase {
  /** From 1. */
  readonly at: number
  readonly how: Fault
}

/** @param sample - `all`, or how many: then evenly over the whole run, each fault in its turn. */
export function faultCases(operations: number, sample: string): FaultCase[] {
  const all = Array.from({ length: operations }, (_, index) => index + 1)
  if (sample === 'all') return all.flatMap((at) => FAULTS.map((how) => ({ at, how })))
  return Array.from({ length: Number(sample) }, (_, index) => ({
    at: 1 + Math.floor((index * operations) / Number(sample)),
    how: FAULTS[index % FAULTS.length] ?? 'EIO',
  }))
}
