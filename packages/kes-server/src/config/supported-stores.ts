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

/** The same as a warning, for a check of the file on a machine that need not start it. */
export function findUnsupportedStore(parsed: ParsedConfig): Problem | undefined {
  try {
    assertStoreSupported(parsed.config)
    return undefined
  } catch (error) {
    if (!(error instanceof UnsupportedStoreError)) throw error
    const position = parsed.positions.get('keystore')
    return {
      severity: 'warning',
      line: position?.line,
      column: position?.column,
      message: error.message,
      hint: undefined,
    }
  }
}
