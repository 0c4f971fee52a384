/**
 * Completion in bash and zsh, as KES has it: the shell runs the program itself, with the line in `COMP_LINE`, and
 * takes what it prints for candidates.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Environment } from '../config/env.ts'
import type { KesCommand } from './command.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'
import { shellWord } from './shell-word.ts'

/** The file that a shell reads at its start, and what makes it run a program for completion. */
const SHELLS: Readonly<Record<string, { readonly file: string; readonly before: readonly string[] }>> = {
  bash: { file: '.bashrc', before: [] },
  zsh: { file: '.zshrc', before: ['autoload -U +X bashcompinit && bashcompinit'] },
}

function shellOf({ SHELL = '' }: Environment): (typeof SHELLS)[string] | undefined {
  return SHELLS[basename(SHELL)]
}

/** The line that a shell wants completed; undefined if this run is an ordinary one. */
export function lineToComplete(env: Environment): string | undefined {
  return shellOf(env) === undefined ? undefined : env.COMP_LINE
}

/** Commands that may stand at the end of the line, or options if it has begun one. */
export function candidatesFor(program: KesCommand, line: string): string[] {
  const words = line.trimStart().split(/\s+/).slice(1)
  const last = words.pop() ?? ''
  let command = program
  for (const word of words) {
    command = (command.commands.find((each) => each.name() === word) as KesCommand | undefined) ?? command
  }
  const help = command.createHelp()
  const options = help.visibleOptions(command).flatMap(({ long }) => long ?? [])
  const commands = help.visibleCommands(command).map((each) => each.name())
  const names = last.startsWith('-') || commands.length === 0 ? options : commands
  return names.filter((name) => name.startsWith(last)).sort()
}

/**
 * Adds the completion to the file of the user's shell.
 *
 * @param program - the words by which the shell runs this program, paths absolute.
 * @throws CliError for a shell that can't be told.
 */
export function installCompletion({ env, stdout }: Io, program: readonly string[]): void {
  const shell = shellOf(env)
  if (shell === undefined || env.HOME === undefined) {
    throw new CliError(`auto-completion for '${env.SHELL ?? ''}' is not available`)
  }
  const file = join(env.HOME, shell.file)
  const line = `complete -o default -C ${shellWord(program.map(shellWord).join(' '))} kes`
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  if (before.split('\n').includes(line)) {
    stdout.write('Completion is already installed.\n')
    return
  }
  const start = before === '' || before.endsWith('\n') ? '' : '\n'
  const lines = [...shell.before.filter((each) => !before.split('\n').includes(each)), line]
  appendFileSync(file, `${start}${lines.join('\n')}\n`)
  stdout.write(
    `Added completion to '${file}'.\nTo uninstall completion remove the following line from '${file}':\n\n  ${line}\n`,
  )
}
