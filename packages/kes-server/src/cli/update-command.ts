/** `kes update`: KES replaces its own binary; a package is updated by its package manager. */
import type { KesCommand } from './command.ts'
import { CliError } from './outcome.ts'

export function addUpdateCommand(program: KesCommand): void {
  program
    .command('update')
    .description('Say how to update')
    .argument('[version]')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new CliError('this command does not update itself', [
        'Update Latchkey where it comes from: git pull, or the package manager that installed it',
      ])
    })
}
