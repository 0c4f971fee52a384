// Every config that the documents and the README show starts a server, or is refused for its store alone.
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FIELD_PATHS } from '../../packages/kes-server/src/config/fields.ts'
import { loadConfigFile } from '../../packages/kes-server/src/config/load-config.ts'
import { startServer } from '../../packages/kes-server/src/server.ts'
import { Installation } from './installation.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'packages/kes-server/src/main.js')
const SECTIONS = new Set(FIELD_PATHS.map((path) => path.replace(/[.[].*/, '')))
const run = promisify(execFile)

interface Example {
  readonly place: string
  readonly text: string
}

/** YAML blocks, and YAML that a shell writes to a file, if their fields are those of a config. */
function examplesIn(document: string): Example[] {
  const text = readFileSync(join(ROOT, document), 'utf8')
  const blocks = [
    ...text.matchAll(/^```ya?ml\n([\s\S]*?)^```$/gm),
    ...text.matchAll(/<<'?END'?\n([\s\S]*?)^END$/gm),
  ]
  return blocks.flatMap(({ 1: block = '', index }) => {
    const line = text.slice(0, index).split('\n').length
    // What a shell replaces, the test sets as it sets a variable of the config.
    const config = block.replaceAll(/\$([A-Z_]+)/g, (_, name) => `\${${name}}`)
    return isConfig(config) ? [{ place: `${document}:${line}`, text: config }] : []
  })
}

function isConfig(block: string): boolean {
  const fields = [...block.matchAll(/^([^\s#:-][^:]*):/gm)].map(([, name = '']) => name)
  return fields.length > 0 && fields.every((name) => SECTIONS.has(name))
}

const documents = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true }).map((name) => `docs/${name}`),
]
const examples = documents.filter((name) => name.endsWith('.md')).flatMap(examplesIn)

describe('an example', () => {
  let installation: Installation

  beforeAll(async () => {
    installation = await Installation.make()
    installation.write('passphrase', 'correct horse battery staple\n')
    mkdirSync(join(installation.folder, 'data/own'))
    for (const name of ['server.key', 'server.crt', 'root.key']) {
      cpSync(join(installation.folder, name), join(installation.folder, 'data/own', name))
    }
  })

  afterAll(() => installation[Symbol.dispose]())

  test.each(examples)('of $place', async ({ place, text }) => {
    const { folder } = installation
    const store = join(folder, `store-${place.replace(/\W/g, '-')}`)
    const REST: Readonly<Record<string, string>> = {
      admin: 'admin: {identity: disabled}',
      tls: `tls: {key: ${folder}/server.key, cert: ${folder}/server.crt}`,
      keystore: `keystore: {fs: {path: ${store}/keys}}`,
    }
    const missing = Object.entries(REST).filter(([section]) => !new RegExp(`^${section}:`, 'm').test(text))
    const whole = [text, ...missing.map(([, rest]) => rest)]
      .join('\n')
      .replaceAll('/etc/kes', folder)
      .replaceAll(/\/var\/(?:lib|log)\/kes/g, store)
      .replaceAll('data/own/keys.db', `${store}/keys.db`)
      .replaceAll('data/own', `${folder}/data/own`)
    mkdirSync(store, { recursive: true, mode: 0o700 })
    const file = installation.write('example.yml', whole)
    const names = [...whole.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name = '']) => name)
    const env = Object.fromEntries(
      names.map((name, index) => [name, `value-number-${index}-of-the-environment`]),
    )

    const { config, warnings } = loadConfigFile(file, { env, strict: true })
    expect(warnings).toEqual([])
    const isSupported = ['sqlite', 'fs'].includes(config.keystore.type)
    const starting = startServer({
      config: { ...config, address: { host: '127.0.0.1', port: 0 }, workers: 1 },
      errorOutput: { write: () => {} },
      auditOutput: { write: () => {} },
    })
    if (!isSupported) return expect(starting).rejects.toThrow(/^the key store '.*' is not yet supported/)
    const server = await starting
    expect(server.url).toMatch(/^https:/)
    await server.stop()
  })
})

test('the examples are found', () => {
  const places = examples.map(({ place }) => place)
  for (const document of ['README.md', 'docs/config.md', 'docs/replace-kes.md', 'docs/audit-file.md']) {
    expect(places).toContainEqual(expect.stringContaining(`${document}:`))
  }
})

describe('"Run it from a config file" of the README', () => {
  const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [, section = ''] = /^## Run it from a config file\n([\s\S]*?)^## /m.exec(README) ?? []
  const [asOperator = '', asApplication = ''] = [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(
    ([, block = '']) => block,
  )

  test('leads from openssl to a key, and to the refusal that it promises', async () => {
    using installation = await Installation.make()
    const { folder, ca } = installation
    const bin = join(folder, 'bin')
    for (const name of ['bin', 'certs']) mkdirSync(join(folder, name))
    for (const name of ['server.key', 'server.crt']) cpSync(join(folder, name), join(folder, 'certs', name))
    installation.write('certs/ca.crt', ca)
    chmodSync(
      installation.write('bin/npx', `#!/bin/sh\nshift\nexec '${process.execPath}' '${MAIN}' "$@"\n`),
      0o700,
    )
    const options = { cwd: folder, env: { PATH: `${bin}:${process.env.PATH}` } }

    const anyPort = asOperator
      .replace('127.0.0.1:7374', '127.0.0.1:0')
      .replace('npx kes server', 'exec npx kes server')
    const server = spawn('sh', ['-ec', anyPort], options)
    try {
      const shown = await untilUp(server)
      expect(shown).toContain('data/own/kes.yml: no problems found')
      const [, port = ''] = /^API .*:(\d+)$/m.exec(shown) ?? []
      const { stdout, stderr } = await run(
        'sh',
        ['-c', `${asApplication.replace('7374', port)}\ntrue`],
        options,
      )
      expect(stdout).toMatch(
        /^\{"plaintext":"[^"]+","ciphertext":"[^"]+"\}Identity {4}[0-9a-f]{64}\nPolicy {6}my-app\n/,
      )
      expect(stderr).toMatch(
        /^Error: failed to remove key "my-app-1": not authorized: insufficient permissions\n/,
      )
    } finally {
      server.kill()
      await once(server, 'close')
    }
  })
})

/** What the shell has printed when its last command, the server, is up. */
async function untilUp(shell: ChildProcessWithoutNullStreams): Promise<string> {
  let shown = ''
  for await (const text of shell.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    shown += text
    if (shown.includes('=> Server is up and running...')) return shown
  }
  throw new Error(`the server did not start:\n${shown}\n${await shell.stderr.setEncoding('utf8').toArray()}`)
}
