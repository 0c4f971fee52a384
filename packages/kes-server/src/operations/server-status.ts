/** `GET /version`, `/v1/ready`, `/v1/status`: how the server and its key store are. */
import { arch, availableParallelism, platform } from 'node:os'
import { StoreUnavailableError, StoreUnreachableError } from '../errors.ts'
import type { Usage } from '../metrics/metrics.ts'
import type { KeyStore } from '../store/key-store.ts'

export interface Version {
  readonly version: string
  readonly commit: string
}

/** Of the 100 ms in which `/v1/ready` answers. */
const READY_MS = 75
/** A process that wakes so late has been held up itself, and knows nothing of the disk: it gives it the time again. */
const LATE_MS = 25
/** But not for longer than this. */
const HELD_UP_MS_MAX = 1000

/**
 * @throws {@link StoreUnreachableError} (504) if the store is gone, or its disk does not answer in time.
 * @throws {@link StoreUnavailableError} (502) if it can't be read.
 */
export async function assertReady(store: Pick<KeyStore, 'status'>): Promise<void> {
  const timer = Promise.withResolvers<never>()
  const giveUpMs = performance.now() + HELD_UP_MS_MAX
  let timeout: NodeJS.Timeout | undefined
  const wait = () => {
    const dueMs = performance.now() + READY_MS
    const giveUp = () => {
      const nowMs = performance.now()
      if (nowMs - dueMs > LATE_MS && nowMs < giveUpMs) wait()
      else {
        const detail = `the disk of the store has not answered within ${READY_MS} ms`
        timer.reject(new StoreUnreachableError({ detail }))
      }
    }
    // Should this process itself have been held up, the answer may be there, and is read before the immediate runs.
    timeout = setTimeout(() => setImmediate(giveUp), READY_MS)
  }
  wait()
  try {
    await Promise.race([store.status(), timer.promise])
  } catch (cause) {
    if (cause instanceof StoreUnreachableError) throw cause
    throw new StoreUnavailableError({ cause })
  } finally {
    clearTimeout(timeout)
  }
}

/** Operating systems and processors as Go, and so KES's clients, name them. */
const GO_OS: Readonly<Record<string, string>> = { win32: 'windows' }
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** `keystore_latency` is in milliseconds and at least 1. */
export async function describeStatus(store: Pick<KeyStore, 'status'>, usage: Usage, { version }: Version) {
  const stackBytes = usage.kernel?.stackBytes
  return {
    version,
    os: GO_OS[platform()] ?? platform(),
    arch: GO_ARCH[arch()] ?? arch(),
    uptime: Math.floor(usage.upTimeSeconds),
    num_cpu: availableParallelism(),
    num_cpu_used: availableParallelism(),
    mem_heap_used: usage.heapBytes,
    ...(stackBytes === undefined ? {} : { mem_stack_used: stackBytes }),
    ...(await storeStatus(store)),
  }
}

/** KES's clients reject `keystore_unreachable` without `keystore_unavailable`, so both are sent. */
async function storeStatus(store: Pick<KeyStore, 'status'>) {
  const started = performance.now()
  try {
    await assertReady(store)
  } catch {
    return { keystore_unavailable: true, keystore_unreachable: true }
  }
  return { keystore_latency: Math.max(1, Math.round(performance.now() - started)) }
}
