// `npm start`: a key server on this machine with everything it needs, kept in one folder between starts.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runConfiguredServer } from '@latchkey/kes-server'
import { ApiKey } from '@latchkey/kms-client'
import { makeCertificates } from '../certs/make-certs.ts'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const HOST = '127.0.0.1'
const USUAL_PORT = 7373
const PORTS_TRIED = 100

const HELP = `npm start -- [options]

Starts a key server on this machine: makes certificates, an admin API key and a key file where they are
missing, and serves until Ctrl-C. The next start finds the same keys.

Options:
  --data DIR   Folder for the keys and secrets           (default: data)
  --port N     Port; must be free                        (default: ${USUAL_PORT}, or the next free one)
  --help       Print this help
`

interface Options {
  readonly data: string
  readonly port: number | undefined
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: { data: { type: 'string' }, port: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help) return undefined
  const port = values.port === undefined ? undefined : Number(values.port)
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw new Error(`'--port ${values.port}' is not a port`)
  }
  return { data: resolve(values.data ?? join(ROOT, 'data')), port }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen({ host: HOST, port, exclusive: true }, () => probe.close(() => done(true)))
  })
}

async function choosePort(wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) return wanted
  for (let port = USUAL_PORT; port < USUAL_PORT + PORTS_TRIED; port += 1) {
    if (await isFree(port)) return port
  }
  throw new Error(
    `no port from ${USUAL_PORT} to ${USUAL_PORT + PORTS_TRIED - 1} is free: choose one with --port`,
  )
}

/** Reads a file, or makes it, readable by its owner alone. */
function keepSecret(
  path: string,
  make: () => Buffer | string,
): { readonly bytes: Buffer; readonly isNew: boolean } {
  if (existsSync(path)) return { bytes: readFileSync(path), isNew: false }
  writeFileSync(path, make(), { mode: 0o600, flag: 'wx' })
  return { bytes: readFileSync(path), isNew: true }
}

function configText(
  admin: string,
  port: number,
  files: Record<'key' | 'cert' | 'store' | 'rootKey', string>,
): string {
  return `# Written by 'npm start' at each start. Copy it to run a server of your own: kes server --config FILE
version: v1
address: ${HOST}:${port}

admin:
  identity: ${admin}

tls:
  key: ${JSON.stringify(files.key)}
  cert: ${JSON.stringify(files.cert)}

keystore:
  sqlite:
    path: ${JSON.stringify(files.store)}
    key_file: ${JSON.stringify(files.rootKey)}
`
}

/** Paths as the reader would type them. */
function shown(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

function welcome(
  url: string,
  admin: string,
  port: number,
  options: Options,
  apiKey: ApiKey,
  isNewKey: boolean,
): string {
  const keyFile = shown(join(options.data, 'admin.api-key'))
  const isUsualPort = port === USUAL_PORT || options.port !== undefined
  const remarks = [
    ...(isUsualPort ? [] : [`Port ${USUAL_PORT} is taken, so this server listens on ${port}.`, '']),
    `The keys are in ${shown(options.data)}/, sealed with ${shown(join(options.data, 'root.key'))}.`,
    'Whoever can read that folder can read the keys.',
  ]
  const keyValue = isNewKey ? apiKey.toString() : `"$(cat ${keyFile})"`
  const keyRemark = isNewKey
    ? `    # Shown this once; kept in ${keyFile}, which only you can read.`
    : `    # From ${keyFile}, which only you can read.`
  return `
Latchkey is up.

  Endpoint         ${url}
  Admin identity   ${admin}

${remarks.map((line) => (line === '' ? '' : `  ${line}`)).join('\n')}

In another terminal, in this folder:

    export KES_SERVER=${url}
    export KES_CA_PATH=${shown(join(ROOT, 'certs', 'ca.crt'))}
${keyRemark}
    export KES_API_KEY=${keyValue}

    npx kes key create my-key       # a key that never leaves this server
    npx kes key dek my-key          # a data key: in plaintext, and encrypted under my-key
    npx kes key disable my-key      # lock: from now on 'key dek' and 'key decrypt' are refused
    npx kes key enable my-key       # resume

Ctrl-C stops the server. The next start finds the same keys.

`
}

async function main(): Promise<number> {
  const options = parseOptions()
  if (options === undefined) {
    process.stdout.write(HELP)
    return 0
  }
  const certificates = await makeCertificates(join(ROOT, 'certs'))
  mkdirSync(options.data, { recursive: true, mode: 0o700 })
  const { bytes: keyText, isNew } = keepSecret(
    join(options.data, 'admin.api-key'),
    () => `${ApiKey.generate().toString()}\n`,
  )
  const apiKey = ApiKey.parse(keyText.toString('utf8').trim())
  const rootKey = join(options.data, 'root.key')
  keepSecret(rootKey, () => randomBytes(32)).bytes.fill(0)
  const port = await choosePort(options.port)
  const config = join(options.data, 'kes.yml')
  const files = {
    key: certificates.serverKey,
    cert: certificates.serverCertificate,
    store: join(options.data, 'kes.db'),
    rootKey,
  }
  // Under its own name only once this server has the store: another one may be running from the file.
  const draft = `${config}.${process.pid}`
  writeFileSync(draft, configText(apiKey.identity, port, files), { mode: 0o600 })
  try {
    return await runConfiguredServer(draft, ({ url }) => {
      renameSync(draft, config)
      return welcome(url, apiKey.identity, port, options, apiKey, isNew)
    })
  } finally {
    rmSync(draft, { force: true })
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
