/** `npm run bench`: programs that each answer a question about performance. */
import { argon2 } from './argon2.ts'
import { auditProgram } from './audit.ts'
import { exitOnSignals } from './cleanup.ts'
import { clientProgram } from './client.ts'
import { consoleProgram } from './console.ts'
import { cryptoProgram } from './crypto.ts'
import { lockProgram } from './lock.ts'
import { nodeProgram } from './node.ts'
import { objectsProgram } from './objects.ts'
import { type Program, UsageError } from './program.ts'
import { sandboxProgram } from './sandbox.ts'
import { serve } from './serve.ts'
import { soakProgram } from './soak.ts'
import { storeProgram } from './store.ts'
import { watchProgram } from './watch.ts'

const PROGRAMS: Readonly<Record<string, Program>> = {
  serve,
  client: clientProgram,
  crypto: cryptoProgram,
  store: storeProgram,
  lock: lockProgram,
  audit: auditProgram,
  watch: watchProgram,
  console: consoleProgram,
  argon2,
  soak: soakProgram,
  sandbox: sandboxProgram,
  objects: objectsProgram,
  node: nodeProgram,
}

function list(): string {
  const names = Object.entries(PROGRAMS).map(([name, { question }]) => `  ${name.padEnd(8)} ${question}`)
  return `npm run bench -- NAME [options]\n\n${names.join('\n')}\n\n'npm run bench -- NAME --help' lists the options.\n`
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help') {
    process.stdout.write(list())
    return 0
  }
  const program = PROGRAMS[name]
  if (program === undefined) throw new UsageError(`there is no program '${name}'`)
  if (args.includes('--help')) {
    process.stdout.write(program.help)
    return 0
  }
  return await program.run(args)
}

function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')
}

exitOnSignals()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!isUsageError(error)) throw error
  process.stderr.write(`Error: ${error.message}\n`)
  process.exitCode = 2
}
