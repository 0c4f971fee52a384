/** Serves a {@link ChildCore}: runs a core in this process, and does what it is told over IPC. */
import type { CallMessage, ReplyMessage } from './child-core.ts'
import { type CoreOptions, LocalCore } from './core.ts'
import { loadKeyServer } from './key-server.ts'

let core: LocalCore | undefined

async function run({ call, args }: CallMessage): Promise<unknown> {
  if (call === 'start') {
    core = await LocalCore.start(await loadKeyServer(), args[0] as CoreOptions)
    return { port: core.port, serverPort: core.serverPort }
  }
  if (core === undefined) throw new Error('the server has not been started')
  // The other side is child-core.ts, whose methods have these arguments.
  const method = core[call] as (...args: unknown[]) => Promise<unknown>
  return await method.apply(core, [...args])
}

function reply(message: ReplyMessage): void {
  // Whoever asked may be gone by now; its end is that of this process, too.
  if (process.connected) process.send?.(message)
}

process.on('message', (message) => {
  const call = message as CallMessage
  run(call).then(
    (result) => reply({ id: call.id, result }),
    (error: unknown) =>
      reply({ id: call.id, problem: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit())
// Ctrl-C reaches every process of a terminal; this one ends with the test, which may still need it.
process.on('SIGINT', () => undefined)
