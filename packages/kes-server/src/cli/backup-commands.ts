/** `kes backup`: makes, verifies and restores backups of the key store. */
import { addBackupCreateCommand } from './backup-create-command.ts'
import { addBackupRestoreCommand } from './backup-restore-command.ts'
import { addBackupVerifyCommand } from './backup-verify-command.ts'
import type { KesCommand } from './command.ts'
import type { Io } from './io.ts'

export function addBackupCommands(program: KesCommand, io: Io): void {
  const group = program
    .command('backup')
    .description('Make, verify and restore backups of the key store')
    .usage('<command>')
  addBackupCreateCommand(group, io)
  addBackupVerifyCommand(group, io)
  addBackupRestoreCommand(group, io)
}
