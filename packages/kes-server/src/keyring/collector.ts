/**
 * Has V8's collector run after keys were erased. The bytes of a KeyObject can't be wiped by hand; OpenSSL overwrites them
 * when they are freed, and they are freed when the collector finds that nobody refers to them. On a server that has
 * little to do that may take hours.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A run stops everything else for some 10 ms: one serves all erasures of so much time. */
const DELAY_MS = 2000

let isDue = false
let collect: (() => void) | undefined

/** Some seconds from now no KeyObject that was dropped before is left. */
export function collectSoon(): void {
  if (isDue) return
  isDue = true
  setTimeout(() => {
    isDue = false
    collect ??= findCollector()
    collect()
  }, DELAY_MS).unref()
}

/** Not global: nobody else needs it. */
function findCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  return typeof gc === 'function' ? () => gc() : () => undefined
}
