/** Which key stores this version of Latchkey can open. */
import type { Config } from './config.ts'
import type { KeystoreType } from './keystore-config.ts'
import type { ParsedConfig } from './load-config.ts'
import type { Problem } from './problem.ts'

/** In the config file; the store of `--dev` needs no support there. */
const SUPPORTED: readonly KeystoreType[] = ['sqlite', 'fs']

/** A store that can be configured, but not opened yet. */
export class UnsupportedStoreError extends Error {
  override readonly name = 'UnsupportedStoreError'
  constructor(type: KeystoreType) {
    const supported = SUPPORTED.join(', ')
    super(`the key store '${type}' is not yet supported by this version of Latchkey; supported: ${supported}`)
  }
}

/** @throws {@link UnsupportedStoreError} */
export function assertStoreSupported(config: Pick<Config, 'keystore'>): void {
  const { type } = config.keystore
  if (type !== 'memory' && !SUPPORTED.includes(type)) throw new UnsupportedStoreError(type)
}

/** Why the store can't be opened; `undefined` if it can. */
export function explainUnsupported(config: Pick<Config, 'keystore'>): string | undefined {
  try {
    assertStoreSupported(config)
    return undefined
  } catch (error) {
    if (error instanceof UnsupportedStoreError) return error.message
    throw error
  }
}

/** The same as a warning, for a check of the file on a machine that need not start it. */
export function findUnsupportedStore({ config, positions }: ParsedConfig): Problem | undefined {
  const message = explainUnsupported(config)
  const position = positions.get('keystore')
  if (message === undefined) return undefined
  return { severity: 'warning', line: position?.line, column: position?.column, message, hint: undefined }
}
