/** `kes receipt`: verifies the proof of an erasure without a server. */
import type { KesCommand } from './command.ts'
import { readTextFile } from './file.ts'
import { type Io, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'

interface VerifyFlags {
  readonly publicKey?: string
  readonly json?: boolean
}

export function addReceiptCommand(program: KesCommand, io: Io): void {
  const group = program.command('receipt').description('Verify the receipt of an erasure').usage('<command>')
  const command = group
    .command('verify')
    .description('Verify a receipt, without a server, and print what it proves')
    .usage('[options] --public-key <file> <file>')
    .argument('[file]')
    .option('--public-key <file>', "The journal's public key that was kept when the store was set up")
    .addJsonOption('Print the verdict as JSON')
  command.action(async (file: string | undefined, flags: VerifyFlags) => {
    if (file === undefined) throw command.usageError('no receipt file specified')
    if (flags.publicKey === undefined) throw command.usageError('no public key specified')
    const { readPublicKey } = await import('./public-key-file.ts')
    const { ProofError, verifyReceipt } = await import('../journal/document.ts')
    const publicKey = readPublicKey(flags.publicKey)
    try {
      const receipt = verifyReceipt(readTextFile(file), publicKey)
      if (flags.json) return printJson(io, { verified: true, receipt })
      const lines = [
        `The key "${receipt.name}" was erased at ${receipt.erased_at} by ${receipt.erased_by || 'nobody known'}.`,
        `It was made at ${receipt.created_at || 'an unknown time'} by ${receipt.created_by || 'nobody known'}.`,
        `Its fingerprint is ${receipt.fingerprint ?? 'unknown: its record was damaged'}.`,
        `This is entry ${receipt.journal.number} of the journal of store ${receipt.journal.store_id}.`,
      ]
      io.stdout.write(`${lines.join('\n')}\n`)
    } catch (error) {
      if (!(error instanceof ProofError)) throw error
      if (flags.json) printJson(io, { verified: false, problem: error.message })
      else
        io.stdout.write(
          `${paint('red', 'The receipt proves nothing:', io.stdout, io.env)} ${error.message}\n`,
        )
      throw new Exit(1)
    }
  })
}
