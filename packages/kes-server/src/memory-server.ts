/**
 * `@latchkey/kes-server/memory-server`: a server for programs that embed one. It is described in plain words, keeps
 * its keys in memory, and is gone when it stops. Apart from the index, because a test run loads this file many times,
 * and needs neither the command line nor the config file.
 */
import { X509Certificate } from 'node:crypto'
import type { DestinationStream } from 'pino'
import { devConfig } from './config/dev-config.ts'
import type { Intercept } from './http/interception.ts'
import { parseIdentity, parseKeyName, parsePolicyName } from './names.ts'
import { type KesServer, startServer } from './server.ts'

export type { Intercept, InterceptedExchange } from './http/interception.ts'
export type { KesServer } from './server.ts'

export interface MemoryServerOptions {
  /** Of the identity that needs no policy: 64 hex digits. */
  readonly adminIdentity: string
  /** Default: a free port of 127.0.0.1. */
  readonly address?: { readonly host: string; readonly port: number }
  /** PEM. */
  readonly credentials: { readonly keyPem: string; readonly certPem: string }
  /** Made at the start. */
  readonly keys?: readonly string[]
  /** By name. */
  readonly policies?: Readonly<
    Record<
      string,
      {
        readonly allow?: readonly string[]
        readonly deny?: readonly string[]
        readonly identities?: readonly string[]
      }
    >
  >
  /** JSON lines; default: nowhere. */
  readonly errorOutput?: DestinationStream
  readonly auditOutput?: DestinationStream
  readonly intercept?: Intercept
}

const NOWHERE: DestinationStream = { write: () => undefined }

/** @throws InvalidNameError, or what listening throws; nothing is left open then. */
export async function startMemoryServer(options: MemoryServerOptions): Promise<KesServer> {
  const { credentials, keys = [], policies = {} } = options
  const address = options.address ?? { host: '127.0.0.1', port: 0 }
  return await startServer({
    config: {
      ...devConfig(parseIdentity(options.adminIdentity), address),
      tls: { made: { ...credentials, leaf: new X509Certificate(credentials.certPem) } },
      keys: keys.map(parseKeyName),
      policies: Object.entries(policies).map(([name, { allow = [], deny = [], identities = [] }]) => ({
        name: parsePolicyName(name),
        allow,
        deny,
        identities: identities.map(parseIdentity),
      })),
    },
    errorOutput: options.errorOutput ?? NOWHERE,
    auditOutput: options.auditOutput ?? NOWHERE,
    ...(options.intercept === undefined ? {} : { intercept: options.intercept }),
  })
}
