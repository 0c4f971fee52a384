/**
 * Loaded before a worker: behind some of its acknowledgements the process stands still, as the system may have it do. What
 * it had to do before them must have left it.
 */
const PAUSE_MS = 250
/** One in so many acknowledgements. */
const INTERVAL = 8

type Send = (...args: unknown[]) => boolean

const send = process.send as Send | undefined
let acknowledged = 0

function sendAndStandStill(...args: unknown[]): boolean {
  const isSent = send?.apply(process, args) === true
  const [message] = args
  // The answer to a call that has no result.
  if (
    typeof message === 'object' &&
    message !== null &&
    'result' in message &&
    message.result === undefined
  ) {
    acknowledged += 1
    if (acknowledged % INTERVAL === 0) standStill()
  }
  return isSent
}

function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
}

if (send !== undefined) Object.assign(process, { send: sendAndStandStill })
