#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// A quarter less time to start, and half of it where the sources run as they are. In the package's own folder: whoever can
// write there can change the program anyway.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url)))

const { runCli } = await import('./cli/program.ts')

// Not process.exit(): what was written to a pipe must arrive.
process.exitCode = await runCli(process.argv.slice(2), process)
