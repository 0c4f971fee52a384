/** `latchkey-node encrypt set | info | clear`: a bucket's default encryption, as `mc encrypt` has it. */
import type { Command } from 'commander'
import { readBucketEncryption, writeBucketEncryption } from '../s3/bucket-encryption.ts'
import { isBucketName } from '../s3/target.ts'
import { CliError } from './outcome.ts'
import type { Io } from './program.ts'
import { addNodeOptions, type ClientFlags, S3Client } from './s3-client.ts'

interface Flags extends ClientFlags {
  readonly json?: boolean
}

export function addEncryptCommand(program: Command, io: Io): void {
  const encrypt = program
    .command('encrypt')
    .description("Set, show or clear a bucket's default encryption")
    .helpCommand(false)
  const add = (name: string, summary: string) => addNodeOptions(encrypt.command(name).description(summary))

  add('set', 'Encrypt new objects that ask for nothing else')
    .argument('<kind>', 'sse-s3, or sse-kms and the name of a key')
    .argument('<words...>', '[KEY] BUCKET')
    .action(async (kind: string, words: string[], flags: Flags) => {
      const { bucket, encryption } = readSet(kind, words)
      await new S3Client(flags, io).send('PUT', `/${bucket}?encryption`, writeBucketEncryption(encryption))
      print(
        io,
        flags,
        { bucket, ...encryption },
        `Objects of '${bucket}' will be encrypted: ${show(encryption)}.`,
      )
    })
  add('info', 'Show what new objects are encrypted with')
    .argument('<bucket>')
    .action(async (name: string, flags: Flags) => {
      const bucket = checkBucket(name)
      const { body } = await new S3Client(flags, io).send('GET', `/${bucket}?encryption`)
      const encryption = readBucketEncryption(Buffer.from(body))
      print(io, flags, { bucket, ...encryption }, show(encryption))
    })
  add('clear', 'Store new objects as they come, unless they ask for encryption')
    .argument('<bucket>')
    .action(async (name: string, flags: Flags) => {
      const bucket = checkBucket(name)
      await new S3Client(flags, io).send('DELETE', `/${bucket}?encryption`)
      print(io, flags, { bucket }, `'${bucket}' has no default encryption.`)
    })
}

function readSet(kind: string, words: readonly string[]) {
  if (kind.toLowerCase() === 'sse-s3' && words.length === 1) {
    return { bucket: checkBucket(words[0] ?? ''), encryption: { algorithm: 'AES256' } as const }
  }
  if (kind.toLowerCase() === 'sse-kms' && words.length === 2) {
    const [keyId = '', bucket = ''] = words
    return { bucket: checkBucket(bucket), encryption: { algorithm: 'aws:kms', keyId } as const }
  }
  throw new CliError("expected 'sse-s3 BUCKET' or 'sse-kms KEY BUCKET'")
}

/** A prefix of a bucket, which old texts mention, was never possible. */
function checkBucket(name: string): string {
  if (name.includes('/') && name.replace(/\/$/, '').includes('/')) {
    throw new CliError(`'${name}': encryption is set for a whole bucket, not for a part of one`)
  }
  const bucket = name.replace(/\/$/, '')
  if (!isBucketName(bucket)) throw new CliError(`'${name}' is no name of a bucket`)
  return bucket
}

function show({
  algorithm,
  keyId,
}: {
  readonly algorithm?: string | undefined
  readonly keyId?: string | undefined
}): string {
  if (algorithm === undefined) return 'a rule that does nothing'
  return keyId === undefined ? 'SSE-S3' : `SSE-KMS with the key '${keyId}'`
}

function print(io: Io, { json }: Flags, value: unknown, text: string): void {
  io.stdout.write(`${json ? JSON.stringify(value) : text}\n`)
}
