/** A folder of one's own where syncing costs nothing: for tests that can't see whether a disk has it. */
import { existsSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const IN_MEMORY = '/dev/shm'

/** In memory where the system has such a place. Whoever makes it removes it. */
export function makeMemoryFolder(): string {
  return mkdtempSync(join(realpathSync(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir()), 'latchkey-'))
}
