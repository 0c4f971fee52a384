/**
 * A process of clients that talk nonsense: `fork` it, and send it {@link NonsensePlan}. In a process of its own, because
 * a server leaks by them only if their bytes come together with the end of their handshake.
 */
import { once } from 'node:events'
import { type ConnectionOptions, connect } from 'node:tls'

export interface NonsensePlan {
  readonly options: ConnectionOptions
  /** At a time. */
  readonly clients: number
  /** Of each, one after the other. */
  readonly connections: number
}

const [plan] = (await once(process, 'message')) as [NonsensePlan]
await Promise.all(
  Array.from({ length: plan.clients }, async () => {
    for (let count = 0; count < plan.connections; count += 1) {
      const socket = connect(plan.options, () => socket.write('not a protocol at all\r\n\r\n'))
      socket.on('error', () => undefined)
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
    }
  }),
)
process.disconnect?.()
