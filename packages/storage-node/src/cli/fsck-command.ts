/** `latchkey-node fsck`: checks a data folder, and makes its index anew from the files. */
import type { Command } from 'commander'
import { StorageError } from '../disk/errors.ts'
import type { FsckProblem } from '../disk/fsck.ts'
import { CliError } from './outcome.ts'
import { printable } from './printable.ts'
import type { Io } from './program.ts'
import { ProgressLine } from './progress.ts'

interface Flags {
  readonly repair?: boolean
  readonly content?: boolean
  readonly json?: boolean
}

export function addFsckCommand(program: Command, io: Io): void {
  program
    .command('fsck')
    .description('Check a data folder; the node must not be running')
    .argument('[dir]', 'The data folder (default: $MINIO_VOLUMES)')
    .option('--repair', 'Put an index that is made anew from the files in the place of the one there is')
    .option('--content', 'Also read all content that is not encrypted, and compare its checksums')
    .option('--json', 'Print the report as JSON')
    .addHelpText(
      'after',
      '\nExits with 0 if nothing is wrong, or all that is was repaired; with 1 otherwise.\nEncrypted content is checked whenever it is read, and needs its key.',
    )
    .action(async (dir: string | undefined, flags: Flags) => {
      const folder = dir ?? io.env.MINIO_VOLUMES
      if (!folder) throw new CliError("no data folder is given. See 'latchkey-node fsck --help'")
      const { fsck } = await import('../disk/fsck.ts')
      using progress = new ProgressLine(io, 'files')
      const report = await fsck(folder, {
        repair: flags.repair ?? false,
        content: flags.content ?? false,
        onProgress: (done, total) => progress.show(done, total),
      }).catch((error: unknown) => {
        if (error instanceof StorageError) throw new CliError(error.message, [], { cause: error })
        throw error
      })
      progress.end()
      const { buckets, objects, uploads, problems, isRepaired } = report
      if (flags.json) {
        const line = { buckets, objects, uploads, problems, repaired: isRepaired }
        io.stdout.write(`${JSON.stringify(line)}\n`)
      } else {
        for (const problem of problems) io.stdout.write(`${describe(problem)}\n`)
        io.stdout.write(
          `${buckets} buckets, ${objects} objects, ${uploads} uploads, ${problems.length} problems\n`,
        )
        if (isRepaired) io.stdout.write('The index was made anew from the files.\n')
      }
      if (problems.length > 0 && !isRepaired) {
        const hint = flags.repair ? [] : ["What is wrong with the index, '--repair' makes good"]
        throw new CliError('the data folder is not as it should be', hint)
      }
    })
}

function describe({ of, bucket, key, file, text }: FsckProblem): string {
  const place = key === undefined ? (bucket ?? file) : `${bucket}/${key}`
  return `${of}${place === undefined ? '' : ` '${printable(place)}'`}: ${text}`
}
