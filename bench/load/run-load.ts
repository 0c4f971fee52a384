/** A load process: `node run-load.ts PLAN`, the plan as JSON; works off the orders that come over IPC. */
import type { LoadPlan, LoadReport, RunOrder } from './messages.ts'
import { MixedLoad } from './mixed-load.ts'
import { UniformLoad } from './uniform-load.ts'

function report(message: LoadReport): void {
  process.send?.(message)
}

async function attempt(work: () => Promise<LoadReport>): Promise<void> {
  try {
    report(await work())
  } catch (error) {
    report({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
}

// The end of the one who measures is the end of the load; and the terminal's Ctrl-C is for that one to handle.
process.once('disconnect', () => process.exit())
process.on('SIGINT', () => undefined)

const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan
const load = plan.kind === 'uniform' ? new UniformLoad(plan) : new MixedLoad(plan)
process.on('message', ({ durationMs }: RunOrder) => {
  void attempt(async () => ({ type: 'done', result: await load.run(durationMs) }))
})
await attempt(async () => {
  await load.prepare()
  return { type: 'prepared' }
})
