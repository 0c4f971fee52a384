/** `GET /version`, `/v1/ready`, `/v1/status`: how the server and its key store are. */
import { arch, availableParallelism, platform } from 'node:os'
import { StoreUnavailableError, StoreUnreachableError } from '../errors.ts'
import type { Usage } from '../metrics/metrics.ts'
import type { KeyStore } from '../store/key-store.ts'

export interface Version {
  readonly version: string
  readonly commit: string
}

/**
 * @throws {@link StoreUnreachableError} (504) if the store is gone.
 * @throws {@link StoreUnavailableError} (502) if it can't be read.
 */
export function assertReady(store: Pick<KeyStore, 'status'>): void {
  try {
    store.status()
  } catch (cause) {
    if (cause instanceof StoreUnreachableError) throw cause
    throw new StoreUnavailableError({ cause })
  }
}

/** Operating systems and processors as Go, and so KES's clients, name them. */
const GO_OS: Readonly<Record<string, string>> = { win32: 'windows' }
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** `keystore_latency` is in milliseconds and at least 1. */
export function describeStatus(store: Pick<KeyStore, 'status'>, usage: Usage, { version }: Version) {
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
    ...storeStatus(store),
  }
}

/** KES's clients reject `keystore_unreachable` without `keystore_unavailable`, so both are sent. */
function storeStatus(store: Pick<KeyStore, 'status'>) {
  const started = performance.now()
  try {
    store.status()
  } catch {
    return { keystore_unavailable: true, keystore_unreachable: true }
  }
  return { keystore_latency: Math.max(1, Math.round(performance.now() - started)) }
}
