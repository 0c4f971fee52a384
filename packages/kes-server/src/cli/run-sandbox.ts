/** `kes sandbox`: from options to a running sandbox, until nobody needs it any more. */
import { type ControlServer, type KesSandbox, serveControl, startKes } from '@latchkey/kms-client/testing'
import { startMemoryServer } from '../memory-server.ts'
import type { Output } from './io.ts'

const PARENT_LOOK_MS = 500
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface SandboxOptions {
  readonly keys: readonly string[]
  readonly erasedNames: 'free' | 'reserved'
  /** Of 127.0.0.1. */
  readonly port: number | undefined
  readonly seed: number | undefined
}

export interface SandboxOutput {
  readonly isJson: boolean
  readonly stdout: Output
  readonly stderr: Output
}

/**
 * Runs a sandbox until its standard input ends, its parent has gone, or a signal comes.
 *
 * @returns the exit code.
 * @throws what starting throws, with nothing left open.
 */
export async function runSandbox(
  options: SandboxOptions,
  { isJson, stdout, stderr }: SandboxOutput,
): Promise<number> {
  using abandonment = new Abandonment()
  await using kes = await startKes({ ...options, server: { startMemoryServer } })
  await using control = await serveControl(kes)
  stdout.write(isJson ? `${JSON.stringify(describe(kes, control))}\n` : welcome(kes, control))
  const reason = await abandonment.reason
  if (!isJson) stderr.write(`\n=> ${reason}: the sandbox ends.\n`)
  return 0
}

/** For programs: docs/testing.md lists the fields. */
function describe(kes: KesSandbox, { url, token }: ControlServer) {
  return {
    endpoint: kes.endpoint,
    api_key: kes.apiKey,
    identity: kes.identity,
    ca_path: kes.caPath,
    cert_path: kes.certPath,
    key_path: kes.keyPath,
    control_url: url,
    control_token: token,
    env: kes.env,
  }
}

/** For a person: to be pasted into another terminal. */
function welcome(kes: KesSandbox, { url, token }: ControlServer): string {
  const exports = Object.entries(kes.env).map(([name, value]) => `    export ${name}=${value}`)
  return `A key server for tests, at ${kes.endpoint}. In another terminal:

${exports.join('\n')}

    npx kes ls

    export KES_CONTROL=${url} KES_CONTROL_TOKEN=${token}
    curl -H "Authorization: Bearer $KES_CONTROL_TOKEN" $KES_CONTROL/faults -d '{"kind":"latency","ms":500}'
    curl -H "Authorization: Bearer $KES_CONTROL_TOKEN" $KES_CONTROL/requests

A client certificate with the same identity: ${kes.certPath}, ${kes.keyPath}
Ctrl-C stops the server. All is lost then.
`
}

/** Notices when nobody needs the sandbox any more, from its making on. */
class Abandonment implements Disposable {
  readonly #noticed = Promise.withResolvers<string>()
  readonly #look: NodeJS.Timeout

  constructor() {
    const parent = process.ppid
    this.#look = setInterval(() => {
      if (process.ppid !== parent) this.#noticed.resolve('the process that started it has gone')
    }, PARENT_LOOK_MS)
    for (const signal of SIGNALS) process.on(signal, this.#noticed.resolve)
    process.stdin.once('error', () => this.#noticed.resolve('its standard input is gone'))
    process.stdin.once('end', () => this.#noticed.resolve('its standard input has ended'))
    process.stdin.resume()
  }

  /** Why. */
  get reason(): Promise<string> {
    return this.#noticed.promise
  }

  [Symbol.dispose](): void {
    clearInterval(this.#look)
    for (const signal of SIGNALS) process.off(signal, this.#noticed.resolve)
    process.stdin.destroy()
  }
}
