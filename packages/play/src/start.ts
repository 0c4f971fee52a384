/** `npm start`: the sandbox, from options to a clean end. */
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { aborted, isInterruption, reportFailure, stopSignal } from './outcome.ts'
import { ROOT } from './sandbox/programs.ts'
import { findS3Clients, type S3Clients } from './sandbox/s3-clients.ts'
import {
  isLoopback,
  type Sandbox,
  type SandboxOptions,
  startSandbox,
  USUAL_PORTS,
} from './sandbox/sandbox.ts'
import { folderState } from './sandbox/sandbox-folder.ts'
import { describe, lockedKeyNotice, welcome } from './welcome.ts'

const HELP = `npm start -- [options]

Starts a sandbox on this machine: a key server with its console, and a storage node that speaks S3 and encrypts
under its keys.
It ends with Ctrl-C; the next start finds everything as it was. Without a terminal it prints one line of JSON.

Options:
  --persist DIR    Keep the sandbox in this folder          (default: data/sandbox)
  --reset          Begin anew: removes all keys and objects of the sandbox, after a question
  --yes            Don't ask
  --port N         Port of the key server; must be free     (default: ${USUAL_PORTS.keyServer}, or the next that is free)
  --node-port N    Port of S3; must be free                 (default: ${USUAL_PORTS.node}, or the next that is free)
  --console-port N Port of the console; must be free        (default: ${USUAL_PORTS.console}, or the next that is free)
  --address IP     Listen on this address                   (default: 127.0.0.1)
  --i-know-this-is-public
                   Let --address be one that other machines reach
  --help           Print this help

The key server alone, without a sandbox: npx kes server --help
`

interface Options {
  readonly folder: string
  readonly isReset: boolean
  readonly isSure: boolean
  readonly host: string
  readonly ports: SandboxOptions['ports']
  /** Names of the options that have chosen them. */
  readonly chosenPorts: readonly string[]
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      persist: { type: 'string' },
      reset: { type: 'boolean' },
      yes: { type: 'boolean' },
      port: { type: 'string' },
      'node-port': { type: 'string' },
      'console-port': { type: 'string' },
      address: { type: 'string' },
      'i-know-this-is-public': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return undefined
  const host = values.address ?? '127.0.0.1'
  if (isIP(host) === 0) throw new Error(`'--address ${host}' is no IP address`)
  if (!isLoopback(host) && !values['i-know-this-is-public']) {
    throw new Error(
      `${host} can be reached from other machines, and a sandbox protects nothing: add --i-know-this-is-public if that is what you want`,
    )
  }
  const keyServer = parsePort('port', values.port)
  const node = parsePort('node-port', values['node-port'])
  const console = parsePort('console-port', values['console-port'])
  return {
    folder: resolve(values.persist ?? join(ROOT, 'data', 'sandbox')),
    isReset: values.reset ?? false,
    isSure: values.yes ?? false,
    host,
    ports: { ...(keyServer && { keyServer }), ...(node && { node }), ...(console && { console }) },
    chosenPorts: ['port', 'node-port', 'console-port'].filter((name) => name in values),
  }
}

function parsePort(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Error(`'--${option} ${text}' is not a port`)
}

async function confirmReset({ folder, isSure }: Options): Promise<boolean> {
  if (isSure || folderState(folder) !== 'sandbox') return true
  if (!process.stdin.isTTY) throw new Error('--reset without a terminal takes --yes as well')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`Remove ${folder}, with all its keys and objects? [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}

async function main(): Promise<number> {
  const options = parseOptions()
  if (options === undefined) {
    process.stdout.write(HELP)
    return 0
  }
  if (options.isReset && !(await confirmReset(options))) {
    process.stderr.write('Nothing was removed.\n')
    return 1
  }
  const signal = stopSignal()
  const isTerminal = process.stdout.isTTY === true
  const clients = isTerminal ? findS3Clients() : undefined
  await using sandbox = await startSandbox({
    ...options,
    certificates: join(ROOT, 'certs'),
    onLockedKey: (key, how) => process.stderr.write(lockedKeyNotice(key, how)),
    signal,
  })
  print(sandbox, options, await clients)
  if (isTerminal)
    signal.addEventListener('abort', () => process.stdout.write('\n=> Stopping the sandbox ...\n'))
  return await Promise.race([aborted(signal), sandbox.failure])
}

function print(sandbox: Sandbox, { chosenPorts }: Options, clients: S3Clients | undefined): void {
  const readyMs = performance.now()
  if (clients === undefined) {
    process.stdout.write(describe(sandbox, readyMs))
    return
  }
  const earlierConfig = join(ROOT, 'data', 'kes.yml')
  process.stdout.write(
    welcome(sandbox, {
      clients,
      readyMs,
      chosenPorts,
      earlierConfig: existsSync(earlierConfig) ? earlierConfig : undefined,
    }),
  )
}

process.exitCode = await main().catch((error) => (isInterruption(error) ? 0 : reportFailure(error)))
