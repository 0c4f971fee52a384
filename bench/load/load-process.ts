/** A load generator in a process of its own: it shares no thread with the server, nor with the one who measures. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { exitOf, startNode } from '../cleanup.ts'
import type { LoadPlan, LoadReport, MixedPlan, MixedResult, UniformPlan, UniformResult } from './messages.ts'

const PROGRAM = join(import.meta.dirname, 'run-load.ts')

type ResultOf<Plan extends LoadPlan> = Plan extends UniformPlan ? UniformResult : MixedResult

export class LoadProcess<Plan extends LoadPlan> implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves when the load is connected and warm. */
  static async start<Plan extends UniformPlan | MixedPlan>(plan: Plan): Promise<LoadProcess<Plan>> {
    const child = startNode([PROGRAM, JSON.stringify(plan)], ['ignore', 'ignore', 'inherit', 'ipc'])
    const load = new LoadProcess<Plan>(child)
    try {
      await load.#nextReport()
      return load
    } catch (error) {
      await load[Symbol.asyncDispose]()
      throw error
    }
  }

  /** @param durationMs - of a mixed load; a uniform one ends after its requests. */
  async run(durationMs = 0): Promise<ResultOf<Plan>> {
    this.#child.send({ durationMs })
    const report = await this.#nextReport()
    if (report.type !== 'done') throw new Error('the load process reports out of turn')
    return report.result as ResultOf<Plan>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await exitOf(this.#child)
  }

  #nextReport(): Promise<LoadReport> {
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('the load process ended'))
      this.#child.once('exit', onExit)
      this.#child.once('message', (report: LoadReport) => {
        this.#child.off('exit', onExit)
        if (report.type === 'failed') reject(new Error(`the load failed: ${report.message}`))
        else resolve(report)
      })
    })
  }
}
