/** `latchkey-node object explain`: the chain of one object's keys, and how far it opens. */
import type { Command } from 'commander'
import type { ExplainedObject, Stage } from '../upkeep/explain-object.ts'
import { CliError } from './outcome.ts'
import { printable } from './printable.ts'
import type { Io } from './program.ts'
import { addNodeOptions, type ClientFlags, encodeQuery, S3Client } from './s3-client.ts'

interface Flags extends ClientFlags {
  readonly json?: boolean
}

const MARKS: Readonly<Record<Stage['outcome'], string>> = { opens: '✓', fails: '✗', 'not tried': '–' }
const LABEL_COLUMNS = 14

export function addObjectCommand(program: Command, io: Io): void {
  const object = program.command('object').description('Look at objects').helpCommand(false)
  const explain = object
    .command('explain')
    .description('Show the chain of keys of one object, and which of them open; no secret is shown')
    .argument('<place>', 'BUCKET/KEY')
  addNodeOptions(explain).action(async (place: string, flags: Flags) => {
    const slash = place.indexOf('/')
    if (slash < 1 || slash === place.length - 1)
      throw new CliError(`'${place}' is not of the form BUCKET/KEY`)
    const query = new URLSearchParams({ bucket: place.slice(0, slash), key: place.slice(slash + 1) })
    const { body } = await new S3Client(flags, io).send(
      'GET',
      `/minio/latchkey/v1/explain?${encodeQuery(query)}`,
    )
    io.stdout.write(flags.json ? `${body}\n` : describe(JSON.parse(body)))
  })
}

function describe(object: ExplainedObject): string {
  const { size, storedBytes, externalKey, context, dataKeyBytes, sealAlgorithm, iv, sealedKeyBytes } = object
  const lines: [label: string, text: string | undefined][] = [
    ['object', `${object.bucket}/${object.key}`],
    ['changed', object.modifiedAt],
    ['size', `${size} bytes, ${storedBytes} as stored`],
    ['encryption', object.kind],
    ['external key', externalKey],
    ['context', context],
    [
      'data key',
      dataKeyBytes === undefined ? undefined : `${dataKeyBytes} bytes, encrypted under the external key`,
    ],
    ['sealed for', sealAlgorithm && object.path],
    ['seal', sealAlgorithm && `${sealAlgorithm}, IV ${iv}`],
    ['object key', sealedKeyBytes === undefined ? undefined : `${sealedKeyBytes} bytes, sealed`],
    ...object.parts.map(({ number, size, storedBytes, dare }): [string, string] => [
      `part ${number}`,
      `${size} bytes, ${storedBytes} as stored${dare ? `, DARE ${dare.version}, ${dare.cipher}` : ''}`,
    ]),
  ]
  const facts = lines.flatMap(([label, text]) =>
    text === undefined ? [] : `${label.padEnd(LABEL_COLUMNS)}${printable(text)}`,
  )
  const stages = object.stages.map(
    ({ name, outcome, reason }) =>
      `${MARKS[outcome]} ${name.padEnd(LABEL_COLUMNS - 2)}${outcome}${reason === undefined ? '' : `: ${reason}`}`,
  )
  return `${[...facts, '', ...stages].join('\n')}\n`
}
