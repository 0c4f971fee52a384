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
        'Latchkey is an npm package: npm install --global @latchkey/kes-server@latest',
      ])
    })
}
