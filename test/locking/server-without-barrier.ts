/** `kes`, with a bug: a change is answered without waiting for the workers. The race must find it. */
import { processIo } from '../../packages/kes-server/src/cli/process-io.ts'
import { runCli } from '../../packages/kes-server/src/cli/program.ts'
import { WorkerProcess } from '../../packages/kes-server/src/workers/worker-process.ts'

WorkerProcess.prototype.acknowledge = () => Promise.resolve()

process.exitCode = await runCli(process.argv.slice(2), processIo())
