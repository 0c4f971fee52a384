/** `kes config`: looks at a config file without starting a server. */
import type { Problem } from '../config/problem.ts'
import type { KesCommand } from './command.ts'
import { type Io, type Output, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'

interface CheckFlags {
  readonly json?: boolean
  readonly print?: boolean
}

export function addConfigCommand(program: KesCommand, io: Io): void {
  const group = program.command('config').description('Check a config file').usage('<command>')
  const command = group
    .command('check')
    .description('Print every problem of a config file, with its line and what to write instead')
    .usage('[options] <file>')
    .argument('[file]')
    .option(
      '--print',
      'Print the file as it is understood: with all defaults and variables, its secrets masked',
    )
    .addJsonOption('Print the problems, or with --print the config, as JSON')
    .addHelpText(
      'after',
      `
Exit code 0 if the file is fine, 1 if it has an error or a field that does not exist. What would only be
warned of at start is a problem here, too. With --print the problems go to the standard error.`,
    )
  command.action(async (file: string | undefined, { json = false, print = false }: CheckFlags) => {
    if (file === undefined) throw command.usageError('no config file specified')
    const { findProblems } = await import('../config/find-problems.ts')
    const problems = findProblems(file)
    const isFine = !problems.some(({ severity }) => severity === 'error')
    if (!print) await printProblems(io, file, problems, json, io.stdout)
    else {
      if (problems.length > 0) await printProblems(io, file, problems, false, io.stderr)
      await printConfig(io, file, json)
    }
    if (!isFine) throw new Exit(1)
  })
}

async function printProblems(
  io: Io,
  file: string,
  problems: readonly Problem[],
  json: boolean,
  output: Output,
): Promise<void> {
  if (json) return printJson(io, problems)
  const { formatProblem } = await import('../config/problem.ts')
  for (const problem of problems) output.write(`${formatProblem(file, problem)}\n`)
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
  const verdict = problems.length === 0 ? 'no problems found' : `${count} found`
  const isFine = !problems.some(({ severity }) => severity === 'error')
  output.write(`${paint(isFine ? 'bold' : 'red', `${file}: ${verdict}`, output, io.env)}\n`)
}

/** Nothing for a file that has no meaning; its problems have been printed. */
async function printConfig(io: Io, file: string, json: boolean): Promise<void> {
  const { loadConfigFile } = await import('../config/load-config.ts')
  const { ConfigError } = await import('../config/problem.ts')
  const { effectiveConfig } = await import('../config/effective-config.ts')
  const { stringify } = await import('yaml')
  try {
    const text = JSON.stringify(effectiveConfig(loadConfigFile(file).config))
    io.stdout.write(json ? `${text}\n` : stringify(JSON.parse(text)))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
  }
}
