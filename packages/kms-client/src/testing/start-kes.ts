/** Starts a key server for tests. */
import { ChildCore } from './child-core.ts'
import { LocalCore } from './core.ts'
import { type KeyServerModule, loadKeyServer } from './key-server.ts'
import { KesSandbox } from './sandbox.ts'

export interface StartKesOptions {
  /** Names of keys to begin with. Default: none. */
  readonly keys?: readonly string[] | undefined
  /** Where the server runs: in this process, which is the default, or in a child. */
  readonly process?: 'same' | 'child' | undefined
  /**
   * Whether the name of an erased key is `free`, which is the default, or `reserved`, as in production unless its
   * config says otherwise: to see what a program does that can't make its key again.
   */
  readonly erasedNames?: 'free' | 'reserved' | undefined
  /** Decides all chance in faults; the same seed, the same course. Default: 1. */
  readonly seed?: number | undefined
  /** Of 127.0.0.1. Default: any free one. */
  readonly port?: number | undefined
  /** The module `@latchkey/kes-server/memory-server`, for programs that have it at hand. By default it is imported. */
  readonly server?: KeyServerModule | undefined
}

/**
 * The real server, in memory, on a free port, with a certificate and an admin API key of its own.
 *
 *     await using kes = await startKes({ keys: ['orders'] })
 *     await kes.lock('orders')
 *
 * @throws KeyServerMissingError if `@latchkey/kes-server` is not installed, TypeError if an option is malformed, or
 *   what the server's start throws, such as for the malformed name of a key. Nothing is left running then.
 */
export async function startKes(options: StartKesOptions = {}): Promise<KesSandbox> {
  const { keys = [], erasedNames = 'free', seed = 1, port = 0, process: place = 'same', server } = options
  if (!Number.isSafeInteger(seed)) throw new TypeError(`\`seed\` is a whole number, not ${seed}`)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new TypeError(`${port} is no port`)
  if (erasedNames !== 'free' && erasedNames !== 'reserved') {
    throw new TypeError('`erasedNames` is free or reserved')
  }
  if (place !== 'same' && place !== 'child') throw new TypeError('`process` is same or child')
  const sandbox = { keys, erasedNames, seed, port }
  if (place === 'same') {
    return await KesSandbox.open(sandbox, async (core) =>
      LocalCore.start(server ?? (await loadKeyServer()), core),
    )
  }
  const child = ChildCore.spawn() // It starts while the certificates are made here.
  try {
    return await KesSandbox.open(sandbox, (core) => child.start(core))
  } catch (error) {
    await child.end()
    throw error
  }
}
