import { expect, test } from 'vitest'
import { parseIdentity } from '../names.ts'
import { devConfig } from './dev-config.ts'
import { parseConfig } from './load-config.ts'
import { assertStoreSupported, findUnsupportedStore, UnsupportedStoreError } from './supported-stores.ts'

const HEAD = 'admin: {identity: x}\ntls: {key: k, cert: c}\n'
const MESSAGE =
  "the key store 'vault' is not yet supported by this version of Latchkey; supported: sqlite, fs"

test('a store that this version cannot open is an error at start, and a warning of the check', () => {
  const parsed = parseConfig(`${HEAD}keystore: {vault: {endpoint: e, approle: {id: i, secret: s}}}`, {
    file: 'f',
    env: {},
  })
  expect(parsed.warnings).toEqual([])
  expect(() => assertStoreSupported(parsed.config)).toThrow(UnsupportedStoreError)
  expect(() => assertStoreSupported(parsed.config)).toThrow(MESSAGE)
  expect(findUnsupportedStore(parsed)).toEqual({
    severity: 'warning',
    line: 3,
    column: 11,
    message: MESSAGE,
    hint: undefined,
  })
})

test('sqlite, fs and the store of --dev can be opened', () => {
  for (const store of ['sqlite: {path: p, key_file: k}', 'fs: {path: p}']) {
    const parsed = parseConfig(`${HEAD}keystore: {${store}}`, { file: 'f', env: {} })
    expect(() => assertStoreSupported(parsed.config)).not.toThrow()
    expect(findUnsupportedStore(parsed)).toBeUndefined()
  }
  expect(() => assertStoreSupported(devConfig(parseIdentity('admin')))).not.toThrow()
})
