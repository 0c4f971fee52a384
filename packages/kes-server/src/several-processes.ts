/** A supervisor, which is this process, and workers. */
import { AuditLog } from './audit/audit-log.ts'
import { HeldReplies } from './audit/held-replies.ts'
import { INFO } from './config/log-level.ts'
import type { Core } from './core.ts'
import { STOP_TIMEOUT_MS } from './http/open-exchanges.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { ServerTally } from './metrics/server-tally.ts'
import { listenerSettingsOf, type ServerConfig } from './running-config.ts'
import { listen, openConsole, runningServer } from './running-server.ts'
import type { KesServer, ServerOptions } from './server.ts'
import type { ListenerSettings } from './tls/secure-context.ts'
import type { OutputName, WorkerSettings } from './workers/calls.ts'
import { splitLines } from './workers/lines.ts'
import { type MakeStart, Supervisor } from './workers/supervisor.ts'

/** The processes start while this one opens the store, and listen to nobody before all of them are up. */
export async function startSupervised(
  { config, errorOutput, auditOutput, clocks }: ServerOptions,
  workers: number,
): Promise<KesServer> {
  const metrics = new Metrics()
  const tally = new ServerTally()
  const outputs = { error: errorOutput, audit: auditOutput }
  const write = (output: OutputName, lines: string) => {
    for (const line of splitLines(lines)) outputs[output].write(line)
  }
  const listener = listenerSettingsOf(config)
  const supervisor = new Supervisor({ metrics, tally, write })
  const errorLog = new ErrorLog(
    createLogger(errorOutput),
    config.log.errorLevel,
    supervisor.streamOf('error'),
  )
  let core: Core | undefined
  try {
    supervisor.spawn(workers)
    // Loaded while the workers do the same.
    const [{ openCore }, { APIS }] = await Promise.all([import('./core.ts'), import('./http/routes.ts')])
    const opened = await openCore({
      config,
      hub: supervisor,
      metrics,
      tally,
      errorLog,
      clocks,
      holdersOf: supervisor.holdersOf,
    })
    core = opened
    let settings = workerSettings(config, opened, listener)
    await supervisor.serve(opened, APIS, errorLog, () => ({ ...settings, ...storeAccess(opened) }))
    const address = await listen(supervisor.server, config)
    const auditLog = new AuditLog(createLogger(auditOutput), {
      isPrinted: config.log.auditLevel <= INFO,
      file: opened.auditWriter && new HeldReplies(opened.auditWriter),
      stream: supervisor.streamOf('audit'),
    })
    const webConsole = await openConsole({
      core: opened,
      config,
      auditLog,
      errorLog,
      listener,
      tally,
      address,
    })
    return runningServer(opened, address, webConsole, {
      config,
      listener,
      errorLog,
      tally,
      async apply(next, nextListener) {
        opened.reload(next)
        errorLog.setLevel(next.log.errorLevel)
        auditLog.setPrinted(next.log.auditLevel <= INFO)
        settings = workerSettings(next, opened, nextListener)
        webConsole?.reload(nextListener)
        await supervisor.reload(settings)
        await supervisor.barrier()
      },
      async stop() {
        await Promise.all([webConsole?.stop(), supervisor.stop(STOP_TIMEOUT_MS)])
        await opened.close()
      },
    })
  } catch (error) {
    await supervisor.kill()
    await core?.close()
    throw error
  }
}

function workerSettings(
  config: ServerConfig,
  { services }: Core,
  listener: ListenerSettings,
): WorkerSettings {
  const { adminIdentity, policies, api, cache, log, keysOptions } = config
  return {
    config: { adminIdentity, policies, api, cache, log, keysOptions },
    origin: services.origin,
    listener,
  }
}

function storeAccess({
  services,
  seal,
  store,
  keysFolder,
  lastUses,
}: Core): Omit<ReturnType<MakeStart>, keyof WorkerSettings> {
  return {
    storePath: store.path,
    keysFolder,
    supervisorPid: process.pid,
    storeId: seal.storeId,
    keys: seal.generations.map((generation) => seal.exportReadingKeys(generation)),
    uses: lastUses.all(),
    journalKey: services.journal.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}
