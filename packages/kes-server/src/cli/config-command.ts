/** `kes config`: looks at a config file without starting a server. */
import type { KesCommand } from './command.ts'
import { type Io, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'

interface CheckFlags {
  readonly json?: boolean
}

export function addConfigCommand(program: KesCommand, io: Io): void {
  const group = program.command('config').description('Check a config file').usage('<command>')
  const command = group
    .command('check')
    .description('Print every problem of a config file, with its line and what to write instead')
    .usage('[options] <file>')
    .argument('[file]')
    .addJsonOption('Print the problems as JSON')
    .addHelpText(
      'after',
      `
Exit code 0 if the file is fine, 1 if it has an error or a field that does not exist. What would only be
warned of at start is a problem here, too.`,
    )
  command.action(async (file: string | undefined, { json = false }: CheckFlags) => {
    if (file === undefined) throw command.usageError('no config file specified')
    const { findProblems } = await import('../config/find-problems.ts')
    const { formatProblem } = await import('../config/problem.ts')
    const problems = findProblems(file)
    const isFine = !problems.some(({ severity }) => severity === 'error')
    if (json) printJson(io, problems)
    else {
      for (const problem of problems) io.stdout.write(`${formatProblem(file, problem)}\n`)
      const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
      const verdict = problems.length === 0 ? 'no problems found' : `${count} found`
      io.stdout.write(`${paint(isFine ? 'bold' : 'red', `${file}: ${verdict}`, io.stdout, io.env)}\n`)
    }
    if (!isFine) throw new Exit(1)
  })
}
