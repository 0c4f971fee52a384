/**
 * `kes`, with a bug: a change is answered without waiting for the workers, which look for it a little later. The race
 * must find it.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { processIo } from '../../packages/kes-server/src/cli/process-io.ts'
import { runCli } from '../../packages/kes-server/src/cli/program.ts'
import { WorkerProcess } from '../../packages/kes-server/src/workers/worker-process.ts'

WorkerProcess.prototype.acknowledge = () => Promise.resolve()
process.env.NODE_OPTIONS = `--import=${pathToFileURL(join(import.meta.dirname, 'late-looks.ts')).href}`

process.exitCode = await runCli(process.argv.slice(2), processIo())
