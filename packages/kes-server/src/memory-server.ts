/**
 * `@latchkey/kes-server/memory-server`: a server for programs that embed one. It is described in plain words, keeps
 * its keys in memory, and is gone when it stops. Apart from the index, because a test run loads this file many times,
 * and needs neither the command line nor the config file.
 */
import type { DestinationStream } from 'pino'
import { devConfig } from './config/dev-config.ts'
import type { Intercept } from './http/interception.ts'
import { parseIdentity, parseKeyName } from './names.ts'
import { type KesServer, startServer } from './server.ts'
import type { TlsCredentials } from './tls/credentials.ts'

export type { Intercept, InterceptedExchange } from './http/interception.ts'
export type { KesServer } from './server.ts'

export interface MemoryServerOptions {
  /** Of the one who needs no policy: 64 hex digits. Nobody else has one. */
  readonly adminIdentity: string
  readonly credentials: Pick<TlsCredentials, 'keyPem' | 'certPem'>
  /** Made at the start. */
  readonly keys: readonly string[]
  /** Whether an erased key leaves its name to others. */
  readonly erasedNames: 'reserved' | 'free'
  readonly intercept: Intercept
}

const NOWHERE: DestinationStream = { write: () => undefined }

/**
 * On a free port of 127.0.0.1, without logs.
 *
 * @throws InvalidNameError, or what listening throws; nothing is left open then.
 */
export async function startMemoryServer(options: MemoryServerOptions): Promise<KesServer> {
  const { adminIdentity, credentials, keys, erasedNames, intercept } = options
  const config = devConfig(parseIdentity(adminIdentity), { host: '127.0.0.1', port: 0 })
  return await startServer({
    config: {
      ...config,
      tls: { made: credentials },
      keys: keys.map(parseKeyName),
      keysOptions: { ...config.keysOptions, erasedNames },
    },
    errorOutput: NOWHERE,
    auditOutput: NOWHERE,
    intercept,
  })
}
