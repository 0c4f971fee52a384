/**
 * The real server, loaded when a harness starts: `@latchkey/kes-server` is an optional peer of this package, which
 * must be usable without it. What the harness needs of it is written down here, and not imported.
 */
import type { Readable, Writable } from 'node:stream'

export interface KeyServerCredentials {
  /** PEM. */
  readonly keyPem: string
  readonly certPem: string
}

/** A request before the server has looked at it; see `InterceptedExchange` of the server. */
export interface Exchange {
  readonly method: string
  readonly target: string
  readonly protocol: 'h2' | 'http/1.1'
  readonly identity: string | undefined
  readonly socket: Writable & { readonly remotePort?: number | undefined }
  readonly body: Readable
  readonly response: {
    readonly statusCode: number
    readonly headersSent: boolean
    writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown
    end(body?: Buffer | string): unknown
  }
  readonly answer: Writable
}

/** Whether anybody may make a key under the name of an erased one. */
export type ErasedNames = 'reserved' | 'free'

export interface KeyServer {
  readonly address: { readonly host: string; readonly port: number }
  readonly replaceCredentials: (credentials: KeyServerCredentials) => Promise<void>
  readonly stop: () => Promise<void>
}

/** What `import('@latchkey/kes-server/memory-server')` gives. */
export interface KeyServerModule {
  startMemoryServer(options: {
    readonly adminIdentity: string
    readonly credentials: KeyServerCredentials
    readonly keys: readonly string[]
    readonly erasedNames: ErasedNames
    readonly intercept: (exchange: Exchange, proceed: () => void) => void
  }): Promise<KeyServer>
}

const PACKAGE = '@latchkey/kes-server'

/** `@latchkey/kes-server` is not installed, or is too old. */
export class KeyServerMissingError extends Error {
  override readonly name = 'KeyServerMissingError'
}

/** @throws {@link KeyServerMissingError} */
export async function loadKeyServer(name = PACKAGE): Promise<KeyServerModule> {
  try {
    return await import(/* @vite-ignore */ `${name}/memory-server`)
  } catch (cause) {
    const problem = problemOf(cause, name)
    if (problem === undefined) throw cause
    throw new KeyServerMissingError(`startKes() runs the package '${name}', which ${problem}`, { cause })
  }
}

/** What is wrong with the package itself, and not with something that it needs. */
function problemOf(error: unknown, name: string): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  if (error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') {
    return `is too old here: npm install --save-dev ${name}@latest`
  }
  // Node names the package, vitest all that was asked for.
  const isNamed = [`'${name}'`, `'${name}/`].some((text) => error.message.includes(text))
  const isAbsent = error.code === 'ERR_MODULE_NOT_FOUND' && isNamed
  return isAbsent ? `is not installed: npm install --save-dev ${name}` : undefined
}
