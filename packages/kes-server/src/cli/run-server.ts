/** `kes server`: from options to a running server, and from a signal to a clean end. */
import { flushCompileCache } from 'node:module'
import { availableParallelism } from 'node:os'
import { isatty } from 'node:tty'
import { parseAddress } from '../config/address.ts'
import { loadConfigFile } from '../config/load-config.ts'
import { ConfigError, formatProblem, type Problem } from '../config/problem.ts'
import { messageOf } from '../message-of.ts'
import { type KesServer, type ServerConfig, startServer } from '../server.ts'
import { banner } from './banner.ts'
import { forbidCoreDumps } from './core-dumps.ts'
import { type LogOutput, logOutput } from './log-output.ts'
import { limitYoungObjects } from './young-objects.ts'

/** One Ctrl-C may reach the process twice: from the terminal, and from the npm that runs it. */
const SAME_SIGNAL_MS = 500

const DROPS_INTERVAL_MS = 10_000

const NO_RELOAD = 'SIGHUP is ignored: a server for development has no configuration file to read again'

export interface ConfigOptions {
  /** `ip:port`; wins over the config's. */
  readonly addr?: string | undefined
  /** How many processes serve; wins over the config's. */
  readonly workers?: number | undefined
  /** Treat the config's warnings as errors. */
  readonly strict?: boolean
}

type Reload = (server: KesServer) => Promise<void>

/**
 * Runs a server from a config file until a signal ends it; on SIGHUP it reads the file again.
 *
 * @param describe - what to print once it is up.
 * @returns the exit code.
 * @throws ConfigError, CredentialsError, StoreOpenError, SealOpenError, or what listening throws: each with one
 *   line for the operator, and nothing left open.
 */
export function runConfiguredServer(
  file: string,
  describe: (server: KesServer) => string = banner,
  { addr, workers, strict = false }: ConfigOptions = {},
): Promise<number> {
  const load = (warn: (warning: Problem) => void): ServerConfig => {
    const { config, warnings } = loadConfigFile(file, { strict })
    for (const warning of warnings) warn(warning)
    const address = addr === undefined ? config.address : parseAddress(addr)
    return { ...config, address, workers: workers ?? config.workers ?? availableParallelism() }
  }
  const config = load((warning) => process.stderr.write(`${formatProblem(file, warning)}\n`))
  return runServer(config, describe, async (server) => {
    await server.reload(() => load((warning) => server.log.warn(formatProblem(file, warning))))
    process.stdout.write(`${describe(server)}=> Reloading configuration after SIGHUP signal completed.\n`)
  })
}

/**
 * Runs a server until a signal ends it.
 *
 * @param reload - undefined where there is no file to read again.
 * @returns the exit code.
 */
export async function runServer(
  config: ServerConfig,
  describe: (server: KesServer) => string,
  reload?: Reload,
): Promise<number> {
  // What can't be printed, on a full disk for one, ends no server.
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error').on('error', () => undefined)
  }
  const auditOutput = await logOutput('stdout', process.stdout.isTTY === true, { isHeld: true })
  const errorOutput = await logOutput('stderr', process.stderr.isTTY === true, { isHeld: false })
  // Node would open its inspector, and with it every key in memory, on this signal.
  process.on('SIGUSR1', () => undefined)
  const hangUps = new HangUps() // A reload may be asked for while the server starts.
  const coreDumpProblem = await forbidCoreDumps()
  const server = await startServer({
    config,
    auditOutput: auditOutput.destination,
    errorOutput: errorOutput.destination,
  })
  if (coreDumpProblem !== undefined) server.log.warn(coreDumpProblem)
  flushCompileCache() // Node does it at a clean end only: never, for a server that is always killed.
  limitYoungObjects() // Not before: what V8 has compiled is of use to processes with the same settings alone.
  const isStopped = untilStopped(server, hangUps, reloader(server, reload)) // Who has read that it is up may send a signal at once.
  process.stdout.write(describe(server))
  const watch = setInterval(
    watchForDrops(server, { audit: auditOutput, error: errorOutput }),
    DROPS_INTERVAL_MS,
  )
  await isStopped
  clearInterval(watch)
  auditOutput.flush()
  errorOutput.flush()
  process.stdout.write('\n=> Stopping server... Goodbye.\n')
  return 0
}

/** Says in the error log, once it is read again, what its reader or that of the audit log has missed. */
function watchForDrops(server: KesServer, outputs: Readonly<Record<string, LogOutput>>): () => void {
  const seen = new Map<string, number>()
  return () => {
    for (const [name, output] of Object.entries(outputs)) {
      const dropped = output.droppedLines()
      const missed = dropped - (seen.get(name) ?? 0)
      if (missed > 0)
        server.log.warn(`${missed} lines of the ${name} log were dropped: nobody reads its stream`)
      seen.set(name, dropped)
    }
  }
}

/** For SIGHUP. Signals that come while a reload is under way are one more reload after it. */
function reloader(server: KesServer, reload: Reload | undefined): () => void {
  let isRunning = false
  let isWanted = false
  const run = async () => {
    isRunning = true
    while (isWanted) {
      isWanted = false
      try {
        await reload?.(server)
      } catch (error) {
        logFailure(server, error)
      }
    }
    isRunning = false
  }
  return () => {
    if (reload === undefined) {
      server.log.warn(NO_RELOAD)
      return
    }
    server.log.info('SIGHUP signal received. Reloading configuration...')
    isWanted = true
    if (!isRunning) void run()
  }
}

function logFailure({ log }: KesServer, error: unknown): void {
  const reason = messageOf(error)
  log.error(`Failed to reload server config: ${reason}; the old configuration stays in force`)
  if (!(error instanceof ConfigError)) return
  for (const problem of error.problems) log.error(formatProblem(error.file, problem))
}

/** SIGHUP, from now on: one that comes before anybody listens is not lost, and ends no process. */
class HangUps {
  #listener: (() => void) | undefined
  #hasCome = false

  constructor() {
    process.on('SIGHUP', () => {
      if (this.#listener === undefined) this.#hasCome = true
      else this.#listener()
    })
  }

  listen(listener: () => void): void {
    this.#listener = listener
    if (this.#hasCome) listener()
  }
}

/**
 * Ends with the server's clean stop; a second signal ends the process at once. SIGHUP means what it does to KES: reload.
 * But where the terminal has gone, nobody has asked for that.
 */
function untilStopped(server: KesServer, hangUps: HangUps, reload: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let firstSignalMs: number | undefined
    const stop = () => {
      if (firstSignalMs === undefined) {
        firstSignalMs = performance.now()
        server.stop().then(resolve, reject)
      } else if (performance.now() - firstSignalMs > SAME_SIGNAL_MS) {
        process.exit(1)
      }
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    const isOnTerminal = process.stdout.isTTY === true
    hangUps.listen(() => {
      if (isOnTerminal && !isatty(process.stdout.fd)) stop()
      else reload()
    })
  })
}
