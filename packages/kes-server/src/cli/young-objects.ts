/**
 * How much memory V8 has for new objects, in a process that was started without options of its own. What a request makes
 * is dead when V8 looks which of them live on, so that looking more often costs nothing, and what V8 would take by itself
 * stays in memory for good: a third of a server.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** V8 has two halves of 4 MB then, as in a worker, whose process is started so. */
const ENOUGH_BYTES = 7.5 * 1024 * 1024
const LOOK_INTERVAL_MS = 100

/** Lets V8 take more for as long as it has less than enough: it also gives some back, when nothing happens. */
export function limitYoungObjects(): void {
  let mayGrow = true
  setInterval(() => {
    const isTooLittle = youngBytes() < ENOUGH_BYTES
    if (isTooLittle === mayGrow) return
    mayGrow = isTooLittle
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`)
  }, LOOK_INTERVAL_MS).unref()
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0
}
