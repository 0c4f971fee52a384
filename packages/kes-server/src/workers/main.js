/** The program of a worker process: started by the supervisor alone, and ended with it. */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// JavaScript and a cache, as in ../main.js. The supervisor has filled the cache.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url)))

// The supervisor decides when a worker ends, also where a terminal's Ctrl-C reaches every process; SIGUSR1 would open
// Node's inspector.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1']) process.on(signal, () => undefined)
process.once('disconnect', () => process.exit())

const { Worker } = await import('./worker.ts')
new Worker(process)
