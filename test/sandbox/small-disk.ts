/** A disk of its own that can be filled, mounted for the tests of a file: for root alone, who can mount one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class SmallDisk implements Disposable {
  /** Where it is mounted. */
  readonly folder: string
  /** Why there is none; to skip the tests with. */
  readonly problem: string | undefined

  constructor(bytes: number) {
    this.folder = mkdtempSync(join(tmpdir(), 'latchkey-disk-'))
    const options = `size=${bytes},mode=700`
    const args = ['-t', 'tmpfs', '-o', options, 'tmpfs', this.folder]
    const { status, error, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
    if (status !== 0) this.problem = `no small disk can be mounted here: ${error?.message ?? stderr.trim()}`
  }

  /** Takes all space but `leftBytes`, rounded up to whole blocks. @returns gives it back. */
  fill(leftBytes: number): () => void {
    const { bavail, bsize } = statfsSync(this.folder)
    const path = join(this.folder, 'filler')
    writeFileSync(path, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)))
    return () => rmSync(path)
  }

  [Symbol.dispose](): void {
    if (this.problem === undefined) spawnSync('umount', [this.folder])
    rmdirSync(this.folder)
  }
}
