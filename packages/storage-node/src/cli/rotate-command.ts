/** `latchkey-node rotate`: brings objects under another external key, page by page. */
import type { Command } from 'commander'
import type { RotatedPage } from '../upkeep/rotate-keys.ts'
import { CliError } from './outcome.ts'
import { printable } from './printable.ts'
import type { Io } from './program.ts'
import { ProgressLine } from './progress.ts'
import { addNodeOptions, type ClientFlags, encodeQuery, S3Client } from './s3-client.ts'

interface Flags extends ClientFlags {
  readonly to: string
  readonly from?: string
  readonly json?: boolean
}

type Answer = RotatedPage & { readonly total?: number }

export function addRotateCommand(program: Command, io: Io): void {
  const command = program
    .command('rotate')
    .description(
      'Bring the objects of a bucket, or of a prefix, under another key; their content stays as it is',
    )
    .argument('<place>', 'BUCKET or BUCKET/PREFIX')
    .requiredOption('--to <key>', 'The key that the objects come under')
    .option('--from <key>', 'Only objects under this key (default: under any other)')
  addNodeOptions(command)
    .addHelpText(
      'before',
      `${[
        'The node does it while it serves. An object that is under the new key is left alone, so what was interrupted',
        'goes on when it is asked for again. Objects without encryption and under keys of clients stay as they are. Uploads',
        'in progress come first, so that what they become is under the new key as well.',
      ].join('\n')}\n`,
    )
    .action(async (place: string, flags: Flags) => {
      const client = new S3Client(flags, io)
      const uploads = await rotateAll(io, 'uploads', (after) => rotatePage(client, place, flags, after, true))
      const objects = await rotateAll(io, 'objects', (after) =>
        rotatePage(client, place, flags, after, false),
      )
      if (flags.json) io.stdout.write(`${JSON.stringify({ ...objects, uploads })}\n`)
      else {
        io.stdout.write(`${describe(objects)}\n`)
        if (Object.values(uploads).some((count) => count > 0)) {
          io.stdout.write(`Uploads in progress: ${describe(uploads)}\n`)
        }
      }
      const failed = objects.failed + uploads.failed
      if (failed > 0) {
        throw new CliError(`${failed} objects could not be rotated`, [
          'Once what is wrong with them has been put right, the same command goes on with them',
        ])
      }
    })
}

interface Sums {
  readonly rotated: number
  readonly left: number
  readonly notApplicable: number
  readonly failed: number
}

async function rotateAll(
  io: Io,
  unit: string,
  nextPage: (after: string | undefined) => Promise<Answer>,
): Promise<Sums> {
  const sums = { rotated: 0, left: 0, notApplicable: 0, failed: 0 }
  let done = 0
  let total = 0
  using progress = new ProgressLine(io, unit)
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page = await nextPage(after)
    sums.rotated += page.rotated
    sums.left += page.left
    sums.notApplicable += page.notApplicable
    sums.failed += page.failures.length
    done += page.rotated + page.left + page.notApplicable + page.failures.length
    total = Math.max(total, page.total ?? 0, done)
    for (const { key, externalKey, problem } of page.failures) {
      progress.end()
      io.stderr.write(`${printable(key)}: under '${externalKey}' still: ${problem}\n`)
    }
    if (total > 0) progress.show(done, total)
    after = page.next
  }
  progress.end()
  return sums
}

function describe({ rotated, left, notApplicable, failed }: Sums): string {
  return `${rotated} rotated, ${left} left as they were, ${notApplicable} without a key of the KMS, ${failed} failed`
}

async function rotatePage(
  client: S3Client,
  place: string,
  { to, from }: Flags,
  after: string | undefined,
  isOfUploads: boolean,
): Promise<Answer> {
  const slash = place.indexOf('/')
  const bucket = slash < 0 ? place : place.slice(0, slash)
  const prefix = slash < 0 ? '' : place.slice(slash + 1)
  const query = new URLSearchParams({ bucket, prefix, to })
  if (from !== undefined) query.set('from', from)
  if (after !== undefined) query.set('after', after)
  if (isOfUploads) query.set('uploads', '')
  const { body } = await client
    .send('POST', `/minio/latchkey/v1/rotate?${encodeQuery(query)}`)
    .catch((error: unknown) => {
      if (!(error instanceof CliError) || after === undefined) throw error
      throw new CliError(error.message, [...error.hints, 'The same command goes on where this one stopped'])
    })
  return JSON.parse(body)
}
