#!/usr/bin/env node
import { processIo } from './cli/process-io.ts'
import { runCli } from './cli/program.ts'

// Not process.exit(): what was written to a pipe must arrive.
process.exitCode = await runCli(process.argv.slice(2), processIo())
