/** Loads the client only when a command has something to ask: `kes --help` and wrong usage stay fast. */
import type { Io } from './io.ts'
import type { ServerFlags, Servers } from './servers.ts'

export async function withServers<Result>(
  io: Io,
  flags: ServerFlags,
  run: (servers: Servers) => Promise<Result>,
): Promise<Result> {
  const { Servers } = await import('./servers.ts')
  const servers = await Servers.open(io, flags)
  try {
    return await run(servers)
  } finally {
    await servers.close()
  }
}
