import { expect, test } from 'vitest'
import { parseIdentity } from '../names.ts'
import { devConfig } from './dev-config.ts'

test('--dev listens on this machine only, keeps nothing, and audits', () => {
  expect(devConfig(parseIdentity('admin'))).toEqual({
    version: 'v1',
    address: { host: '127.0.0.1', port: 7373 },
    workers: 1,
    adminIdentity: 'admin',
    adminIsDisabled: false,
    api: new Map(),
    policies: [],
    cache: { anyMs: 300_000, unusedMs: 30_000, offlineMs: 0 },
    log: { errorLevel: 0, auditLevel: 0, auditFile: undefined },
    keys: [],
    keysOptions: { erasedNames: 'free', waitingPeriodMs: 0 },
    keystore: { type: 'memory' },
  })
})
