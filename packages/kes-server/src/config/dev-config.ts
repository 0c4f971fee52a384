/** The configuration of `kes server --dev`: no file, nothing kept. */
import type { Identity } from '../names.ts'
import type { Address } from './address.ts'
import { type Config, DEFAULT_CACHE, DEFAULT_LOG } from './config.ts'

/** The caller makes the certificate and the API key, anew at each start. */
export type DevConfig = Omit<Config, 'tls'>

/** KES listens on every interface here although its help says this one; Latchkey does as the help says. */
const DEV_ADDRESS: Address = { host: '127.0.0.1', port: 7373 }

/** @param adminIdentity - of the API key that the server prints. */
export function devConfig(adminIdentity: Identity, address: Address = DEV_ADDRESS): DevConfig {
  return {
    version: 'v1',
    address,
    workers: 1,
    adminIdentity,
    adminIsDisabled: false,
    api: new Map(),
    policies: [],
    cache: DEFAULT_CACHE,
    log: DEFAULT_LOG,
    keys: [],
    keysOptions: { erasedNames: 'free', waitingPeriodMs: 0 },
    keystore: { type: 'memory' },
    console: undefined,
  }
}
