// Commands that open the store of a config file, by a user who lacks a permission.
import { chmodSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Installation } from './installation.ts'
import { runKes } from './server-process.ts'

const NOBODY = 65534
const IS_ROOT = process.getuid?.() === 0
const RECIPIENT = 'age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm'

let installation: Installation
let target: Installation

beforeAll(async () => {
  installation = await Installation.make({ keys: ['a'] })
  const server = await installation.start()
  await server.stop()
  target = await Installation.make()
  if (IS_ROOT) for (const each of [installation, target]) each.giveTo(NOBODY)
  chmodSync(dirname(installation.storeFile), 0)
})

afterAll(() => {
  chmodSync(dirname(installation.storeFile), 0o700)
  for (const each of [installation, target]) each[Symbol.dispose]()
})

test.each<[name: string, args: (config: string) => string[]]>([
  ['seal ls', (config) => ['seal', 'ls', '--config', config]],
  ['key export', (config) => ['key', 'export', '--config', config, '--recipient', RECIPIENT, 'a', 'a.age']],
  ['migrate', (config) => ['migrate', '--from', config, '--to', target.configFile]],
])('kes %s says that a store can not be read, and why, not that there is none', async (_, argsOf) => {
  const { configFile, storeFile } = installation
  const { code, stderr } = await runKes(argsOf(configFile), IS_ROOT ? { uid: NOBODY } : {})
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `Error: the store '${storeFile}' can not be read: EACCES: permission denied, stat '${storeFile}'\n`,
  })
})
