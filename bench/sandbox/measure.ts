/** One process of the program `sandbox`: starts sandboxes, and prints how long each step took as a JSON line. */
import { startKes } from '@latchkey/kms-client/testing'

export interface Steps {
  readonly startMs: number
  /** The first call of a client, with its handshake. */
  readonly firstCallMs: number
  readonly callMs: number
  readonly lockMs: number
  readonly faultMs: number
  readonly resetMs: number
  readonly stopMs: number
}

async function measure(place: 'same' | 'child'): Promise<Steps> {
  let lastMs = performance.now()
  const lap = (): number => {
    const beforeMs = lastMs
    lastMs = performance.now()
    return lastMs - beforeMs
  }
  const kes = await startKes({ keys: ['orders'], process: place })
  const startMs = lap()
  await kes.client.generateKey('orders')
  const firstCallMs = lap()
  await kes.client.generateKey('orders')
  const callMs = lap()
  await kes.unlock('orders') // With the handshake of the harness's own connection.
  lap()
  await kes.lock('orders')
  const lockMs = lap()
  await kes.faults.latency({ ms: 1 })
  const faultMs = lap()
  await kes.reset()
  const resetMs = lap()
  await kes.stop()
  return { startMs, firstCallMs, callMs, lockMs, faultMs, resetMs, stopMs: lap() }
}

const [place = 'same', times = '1'] = process.argv.slice(2)
const steps: Steps[] = []
for (let time = 0; time < Number(times); time += 1)
  steps.push(await measure(place === 'child' ? 'child' : 'same'))
process.stdout.write(`${JSON.stringify(steps)}\n`)
