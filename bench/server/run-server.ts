/** The server under test: `node run-server.ts CONFIG`, started with an IPC channel that is told the URL. */
import { runConfiguredServer } from '@latchkey/kes-server'

const [configFile = ''] = process.argv.slice(2)

// Whoever measures may be killed; its server does not outlive it.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))

process.exitCode = await runConfiguredServer(configFile, ({ url }) => {
  process.send?.({ url })
  return ''
})
process.removeAllListeners('disconnect')
process.disconnect?.()
