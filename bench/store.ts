/** How does the store grow? Opening, listing and changing keys with few and many of them. */
import { randomBytes } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { KeyRing } from '../packages/kes-server/src/keyring/key-ring.ts'
import { openJournal } from '../packages/kes-server/src/keyring/open-journal.ts'
import { parseKeyName } from '../packages/kes-server/src/names.ts'
import { listKeyDetails, listKeys } from '../packages/kes-server/src/operations/list-keys.ts'
import { Seal } from '../packages/kes-server/src/seal/seal.ts'
import { SqliteStore } from '../packages/kes-server/src/store/sqlite-store.ts'
import { TemporaryFolder } from './cleanup.ts'
import { fillStore } from './filled-store.ts'
import { type Program, parseCount, parseCounts } from './program.ts'
import { asyncLatencyOf, type Latency, latencyOf, millisOf } from './stopwatch.ts'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

const DEFAULT_SIZES = '1,10000,100000'
const FIRST_PAGE = { prefix: '', after: undefined }
const BY = { identity: '0'.repeat(64), ip: '127.0.0.1' }

const HELP = `npm run bench -- store [options]

How does the store grow? Makes a SQLite store of each size and prints how long it takes to open and unseal it, to list
the first page of names (12,000) and of details (1,000), and to create, disable, enable and erase a key. Each of these
four waits until the disk has it, so they say as much of the disk as of the store.

  --sizes LIST     keys in the store                        (default: ${DEFAULT_SIZES})
  --changes N      of each kind, one after the other        (default: 200)
  --folder DIR     on the disk to look at                   (default: the system's for temporary files)
  --json           one JSON line a size instead of tables
`

interface Options {
  readonly sizes: readonly number[]
  readonly changes: number
  readonly folder: string | undefined
  readonly isJson: boolean
}

interface Measurement {
  readonly keys: number
  /** With SQLite's own look at its integrity. */
  readonly openMs: number
  readonly unsealMs: number
  readonly listNamesMs: number
  readonly listDetailsMs: number
  readonly create: Latency
  readonly disable: Latency
  readonly enable: Latency
  readonly erase: Latency
  readonly fileBytes: number
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: 'string', default: DEFAULT_SIZES },
      changes: { type: 'string', default: '200' },
      folder: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    sizes: parseCounts('sizes', values.sizes),
    changes: parseCount('changes', values.changes),
    folder: values.folder,
    isJson: values.json,
  }
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const results: Measurement[] = []
  for (const keys of options.sizes) results.push(await measure(keys, options))
  process.stdout.write(
    options.isJson ? results.map((result) => `${JSON.stringify(result)}\n`).join('') : tables(results),
  )
  return 0
}

async function measure(keys: number, { changes, folder: parent }: Options): Promise<Measurement> {
  using folder = new TemporaryFolder(parent)
  const path = join(folder.path, 'kes.db')
  const keyFile = randomBytes(32)
  fillStore(path, keyFile, keys)
  const fileBytes = statSync(path).size + (existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0)

  let store: SqliteStore | undefined
  let seal: Seal | undefined
  try {
    const openMs = millisOf(() => {
      store = SqliteStore.open(path)
    })
    const opened = defined(store)
    const unsealMs = millisOf(() => {
      seal = Seal.open(opened, { kind: 'key file', bytes: Buffer.from(keyFile) })
    })
    const ring = new KeyRing(opened, defined(seal), openJournal(opened, defined(seal)), {
      erasedNames: 'reserved',
    })
    const listNamesMs = millisOf(() => JSON.stringify(listKeys(ring, FIRST_PAGE)))
    const listDetailsMs = millisOf(() => JSON.stringify(listKeyDetails(ring, FIRST_PAGE)))
    const name = (number: number) => parseKeyName(`changed-${number}`)
    return {
      keys,
      openMs,
      unsealMs,
      listNamesMs,
      listDetailsMs,
      create: latencyOf(changes, (number) => ring.create(name(number), BY)),
      disable: latencyOf(changes, (number) => ring.setState(name(number), 'disabled', BY)),
      enable: latencyOf(changes, (number) => ring.setState(name(number), 'enabled', BY)),
      erase: await asyncLatencyOf(changes, (number) => ring.erase(name(number), BY)),
      fileBytes,
    }
  } finally {
    seal?.destroy()
    store?.close()
  }
}

function defined<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new TypeError('not opened')
  return value
}

function tables(results: readonly Measurement[]): string {
  const whole = formatTable(
    ['keys', 'open ms', 'unseal ms', 'list names ms', 'list details ms', 'file MB'],
    results.map((result) => [
      String(result.keys),
      formatNumber(result.openMs),
      formatNumber(result.unsealMs),
      formatNumber(result.listNamesMs),
      formatNumber(result.listDetailsMs),
      formatMegabytes(result.fileBytes),
    ]),
  )
  const pair = ({ p50Ms, p99Ms }: Latency): string => `${formatNumber(p50Ms)} / ${formatNumber(p99Ms)}`
  const changes = formatTable(
    ['keys; p50 / p99 of each', 'create ms', 'disable ms', 'enable ms', 'erase ms'],
    results.map(({ keys, create, disable, enable, erase }) => [
      String(keys),
      ...[create, disable, enable, erase].map(pair),
    ]),
  )
  return `${whole}\n${changes}`
}

export const storeProgram: Program = {
  question: 'How does the store grow? Opening, listing and changing keys with 1, 10,000 and 100,000 of them.',
  help: HELP,
  run,
}
