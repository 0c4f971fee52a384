/** One process that does everything. */
import { AuditLog } from './audit/audit-log.ts'
import { HeldReplies } from './audit/held-replies.ts'
import { INFO } from './config/log-level.ts'
import { openCore } from './core.ts'
import { type App, createApp } from './http/app.ts'
import { Broadcast } from './log/broadcast.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { ServerTally } from './metrics/server-tally.ts'
import { listenerSettingsOf } from './running-config.ts'
import { listen, openConsole, runningServer } from './running-server.ts'
import type { KesServer, ServerOptions } from './server.ts'
import { SingleProcess } from './workers/hub.ts'

export async function startSingleProcess({
  config,
  errorOutput,
  auditOutput,
  clocks,
  intercept,
}: ServerOptions): Promise<KesServer> {
  const metrics = new Metrics()
  const tally = new ServerTally()
  const { errorLevel, auditLevel } = config.log
  const errorStream = new Broadcast(() => metrics.errorEventSent())
  const auditStream = new Broadcast(() => metrics.auditEventSent())
  const errorLog = new ErrorLog(createLogger(errorOutput), errorLevel, errorStream)
  if ((config.workers ?? 1) > 1)
    errorLog.warn('this key store is served by one process: workers are not started')
  const listener = listenerSettingsOf(config)
  const hub = new SingleProcess(metrics)
  const core = await openCore({ config, hub, metrics, tally, errorLog, clocks })
  const auditLog = new AuditLog(createLogger(auditOutput), {
    isPrinted: auditLevel <= INFO,
    file: core.auditWriter && new HeldReplies(core.auditWriter),
    stream: auditStream,
  })
  hub.beforeAcknowledging(() => auditLog.released())
  let app: App | undefined
  try {
    app = await createApp({ services: core.services, auditLog, errorLog, listener, intercept })
    const running = app
    const address = await listen(running.listener.server, config)
    const webConsole = await openConsole({ core, config, auditLog, errorLog, listener, tally, address })
    return runningServer(core, address, webConsole, {
      config,
      listener,
      errorLog,
      tally,
      apply(next, nextListener) {
        core.reload(next)
        errorLog.setLevel(next.log.errorLevel)
        auditLog.setPrinted(next.log.auditLevel <= INFO)
        running.reload(nextListener)
        webConsole?.reload(nextListener)
        return hub.barrier()
      },
      async stop() {
        await Promise.all([webConsole?.stop(), running.stop()])
        await core.close()
      },
    })
  } catch (error) {
    await app?.stop()
    await core.close()
    throw error
  }
}
