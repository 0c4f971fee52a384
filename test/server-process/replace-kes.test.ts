// The commands of docs/replace-kes.md, from top to bottom, on the files of a Go KES.
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { readVectors } from '../read-vectors.ts'
import { Installation } from './installation.ts'
import type { ServerProcess } from './server-process.ts'

const DOCUMENT = readFileSync(resolve(import.meta.dirname, '../../docs/replace-kes.md'), 'utf8')
const MAIN = resolve(import.meta.dirname, '../../packages/kes-server/src/main.js')
const run = promisify(execFile)

/** Lines of the document's blocks of shell commands, without their comments. */
const commands = [...DOCUMENT.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
  .flatMap(([, block = '']) => block.split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '')

const { keys } = readVectors<{ keys: { name: string; stored_value: string }[] }>('ciphertexts.json')

test('lead from the folder of a Go KES to a server, and to one with sealed keys', async () => {
  using installation = await Installation.make()
  const [etc, bin] = [installation.folder, join(installation.folder, 'bin')]
  const folder = join(etc, 'keys')
  mkdirSync(folder)
  mkdirSync(bin)
  for (const { name, stored_value } of keys) writeFileSync(join(folder, name), stored_value, { mode: 0o600 })
  writeFileSync(join(bin, 'kes'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
  chmodSync(join(bin, 'kes'), 0o700)
  const plain = readFileSync(installation.configFile, 'utf8').replace(
    /"sqlite": \{[^}]*\}/,
    `"fs": { "path": ${JSON.stringify(folder)} }`,
  )
  const [sealedStore = ''] = /^keystore:\n {2}sqlite:\n(?: {4}.*\n)+/m.exec(DOCUMENT) ?? []
  installation.write('config.yml', plain)
  const { keystore: _, ...rest } = JSON.parse(plain)
  installation.write('sealed.yml', `${here(sealedStore)}${asYaml(rest)}`)
  installation.write('root.key', '') // Of the installation; the document makes its own.

  function here(text: string): string {
    return text.replaceAll('/etc/kes', etc).replaceAll('/var/lib/kes', join(etc, 'data'))
  }

  let server: ServerProcess | undefined
  const decrypted: string[] = []
  for (const command of commands.map(here)) {
    const words = command.replace('NAME', keys[0]?.name ?? '').split(' ')
    if (words[1] === 'server') {
      server = await installation.start(words.slice(2))
      continue
    }
    if (words[1] === 'migrate') await server?.stop()
    const env = { PATH: `${bin}:${process.env.PATH}`, ...clientOf(installation, server) }
    const { stdout } = await run('sh', ['-c', words.join(' ')], { env, cwd: etc })
    if (words[1] === 'migrate') expect(stdout).toContain(`${String(keys.length).padStart(6)} keys`)
    if (words[2] === 'dek') decrypted.push(stdout)
    if (words[1] === 'ls') expect(stdout.trim().split('\n')).toHaveLength(keys.length + 1)
  }
  expect(commands.length).toBeGreaterThan(8)
  expect(decrypted).toHaveLength(1)
  const { ciphertext, plaintext } = JSON.parse(decrypted[0] ?? '')
  const reply = await server?.request('PUT', `/v1/key/decrypt/${keys[0]?.name}`, { body: { ciphertext } })
  expect(JSON.parse(reply?.rawBody.toString() ?? '')).toEqual({ plaintext })
  await server?.stop()
  expect(readdirSync(folder).sort()).toEqual(keys.map(({ name }) => name).sort())
}, 120_000)

/** JSON is YAML, but for the braces around the whole. */
function asYaml(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`)
    .join('')
}

function clientOf(installation: Installation, server: ServerProcess | undefined): Record<string, string> {
  return {
    KES_SERVER: `https://127.0.0.1:${server?.port}`,
    KES_CLIENT_KEY: installation.write('admin.key', installation.admin.key),
    KES_CLIENT_CERT: installation.write('admin.crt', installation.admin.cert),
    KES_CA_PATH: installation.write('ca.crt', installation.ca),
  }
}
