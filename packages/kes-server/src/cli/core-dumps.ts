/** A core dump of a key server is a file full of keys, so the server forbids its own. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * 1 byte and not 0: Linux writes no core to a file when the limit is below one page, but of all limits it is only
 * 1 that also keeps it from feeding the core to a program, as most distributions have it (core(5),
 * "Piping core dumps to a program").
 */
const LIMIT = '1:1'

/**
 * @returns why core dumps may still be written, for the log; undefined if they can't be.
 */
export async function forbidCoreDumps(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'core dumps can only be turned off on Linux'
  const isForbidden = await new Promise<boolean>((done) => {
    execFile('prlimit', ['--pid', String(process.pid), `--core=${LIMIT}`], (error) => done(error === null))
  })
  if (isForbidden || coreLimit() === '0' || coreLimit() === '1') return undefined
  return "core dumps are on: a crash may write keys to disk; install 'prlimit' (util-linux) or run 'ulimit -c 0'"
}

/** The soft limit in bytes, as the kernel prints it. */
function coreLimit(): string | undefined {
  try {
    return /^Max core file size\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
