// The commands of docs/replace-kes.md, from top to bottom, on the files of a Go KES.
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { generateIdentity, identityToRecipient } from 'age-encryption'
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

test('lead from the folder of a Go KES to a server, to one with sealed keys, and back', async () => {
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

  const identity = await generateIdentity()
  const recipient = await identityToRecipient(identity)
  installation.write('identity.txt', `${identity}\n`)
  // A server that has none of the keys, to import one.
  installation.write('other.yml', `${here(sealedStore).replace('keys.db', 'other.db')}${asYaml(rest)}`)
  const name = keys[0]?.name ?? ''

  let server: ServerProcess | undefined
  const printed: Record<string, string[]> = {}
  for (const command of commands.map(here)) {
    const isImport = command.startsWith('kes key import')
    const typed = command
      .replace('NAME', name)
      .replace('age1…', recipient)
      .replace('sealed.yml', isImport ? 'other.yml' : 'sealed.yml')
    const words = typed.split(' ')
    if (words[1] === 'server') {
      server = await installation.start(words.slice(2))
      continue
    }
    if (/^kes (?:migrate|key export)/.test(command)) {
      const isWayBack = command.includes('sealed.yml --to')
      if (isWayBack) expect((await server?.request('PUT', '/v1/key/create/made-here'))?.status).toBe(200)
      await server?.stop()
    }
    if (isImport) {
      await using other = await installation.start(['--config', join(etc, 'other.yml')]) // Makes the store.
      await other.stop()
    }
    const env = { PATH: `${bin}:${process.env.PATH}`, ...clientOf(installation, server) }
    const { stdout } = await run('sh', ['-c', typed], { env, cwd: etc })
    const verb = words.slice(1, words[1] === 'key' ? 3 : 2).join(' ')
    printed[verb] = [...(printed[verb] ?? []), stdout]
  }
  await server?.stop()

  const count = String(keys.length).padStart(6)
  expect(printed.config).toEqual([expect.stringContaining('no problems found')])
  expect(printed.ls?.[0]?.trim().split('\n')).toHaveLength(keys.length + 1)
  expect(printed.migrate).toEqual([
    expect.stringContaining(`Would migrate ${count} keys.`),
    expect.stringContaining(`Migrated ${count} keys successfully!`),
    expect.stringContaining('Migrated      1 keys successfully!'),
  ])
  expect(printed['key export']).toHaveLength(1)
  expect(printed['key import']).toHaveLength(1)

  const { ciphertext, plaintext } = JSON.parse(printed['key dek']?.[0] ?? '')
  for (const config of ['config.yml', 'sealed.yml', 'other.yml']) {
    await using other = await installation.start(['--config', join(etc, config)])
    const reply = await other.request('PUT', `/v1/key/decrypt/${name}`, { body: { ciphertext } })
    expect([config, JSON.parse(reply.rawBody.toString())]).toEqual([config, { plaintext }])
    await other.stop()
  }
  // KES's folder has KES's files, to the byte, and the new key in KES's form.
  const files = Object.fromEntries(
    readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  )
  const { 'made-here': made = '', ...before } = files
  expect(before).toEqual(Object.fromEntries(keys.map(({ name: file, stored_value }) => [file, stored_value])))
  expect(Buffer.from(made, 'base64').subarray(0, 4).toString('hex')).toBe('0a240a20') // A secret key of 32 bytes.
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
