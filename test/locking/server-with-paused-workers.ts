/** `kes`, whose workers stand still in the worst moment: when they have just acknowledged a change. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { processIo } from '../../packages/kes-server/src/cli/process-io.ts'
import { runCli } from '../../packages/kes-server/src/cli/program.ts'

process.env.NODE_OPTIONS = `--import=${pathToFileURL(join(import.meta.dirname, 'paused-workers.ts')).href}`

process.exitCode = await runCli(process.argv.slice(2), processIo())
