/** Bytes that stand in base64 on the command line. */
import { decodeBase64, InvalidBase64Error } from '@latchkey/kms-client'
import type { KesCommand } from './command.ts'

/** @throws CliError such as `invalid key: illegal base64 data at input byte 0. See 'kes key import --help'` */
export function decodeArgument(command: KesCommand, name: string, text: string): Buffer {
  try {
    return decodeBase64(text)
  } catch (error) {
    if (error instanceof InvalidBase64Error) throw command.usageError(`invalid ${name}: ${error.message}`)
    throw error
  }
}
