/** What does the storage node cost? Requests over HTTP, with a key server beside it, and how soon a lock holds. */
import { parseArgs } from 'node:util'
import { DEFAULT_KEY, NodeUnderLoad } from './node/node-process.ts'
import { S3Load } from './node/s3-load.ts'
import { type Program, parseCount } from './program.ts'
import { type Latency, latencyFrom } from './stopwatch.ts'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SIZES: readonly number[] = [4 * KIB, MIB, 64 * MIB]
const BYTES_A_ROW = 512 * MIB
const OBJECTS_MAX = 1000
const AT_ONCE = 4
/** Before those that count: a node that has just started compiles what it runs. */
const WARM_UP_BYTES = 64 * MIB
const BUCKET = '/bench'
const S3 = { 'x-amz-server-side-encryption': 'AES256' }

/** MinIO on a machine of this kind: CPU of the server alone. */
const MINIO = {
  largePutCpuSecondsAGib: 5.1,
  largeGetCpuSecondsAGib: 0.96,
  smallPutCpuMicros: 1685,
  smallGetCpuMicros: 830,
}

const HELP = `npm run bench -- node [options]

What does the storage node cost? Puts and gets of objects in SSE-S3 over HTTP, with a key server beside it; the CPU time
is that of the node's process alone. Then its memory at many long uploads, and how long it takes from the call that
disables a key until the node has refused a read, with few and with many objects.

  --uploads N      long uploads at the same time          (default: 16)
  --mebibytes N    of each of them                        (default: 64)
  --objects N      many objects                           (default: 2000)
  --locks N        how often a key is locked              (default: 100)
  --folder DIR     on the disk to look at                 (default: the system's for temporary files)
  --json           one JSON line a row instead of tables

MinIO, measured on a machine of this kind: PUT 16 MiB ${MINIO.largePutCpuSecondsAGib} CPU s/GiB, GET ${MINIO.largeGetCpuSecondsAGib}; PUT 4 KiB ${MINIO.smallPutCpuMicros} µs, GET ${MINIO.smallGetCpuMicros} µs.
`

interface ObjectsRow {
  readonly operation: 'PUT' | 'GET'
  readonly bytes: number
  readonly objects: number
  /** Undefined where the kernel does not tell. */
  readonly cpuMicros: number | undefined
  readonly cpuSecondsAGib: number | undefined
  readonly latency: Latency
}

interface UploadsRow {
  readonly uploads: number
  readonly bytes: number
  readonly peakResidentBytes: number | undefined
}

interface LocksRow {
  readonly objects: number
  readonly locks: number
  /** From the call of the key server to the node's refusal. */
  readonly latency: Latency
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      uploads: { type: 'string', default: '16' },
      mebibytes: { type: 'string', default: '64' },
      objects: { type: 'string', default: '2000' },
      locks: { type: 'string', default: '100' },
      folder: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const locks = parseCount('locks', values.locks)
  await using node = await NodeUnderLoad.start(values.folder)
  const load = new S3Load(node.url, Math.max(AT_ONCE, parseCount('uploads', values.uploads)))
  try {
    await expectStatus(200, load.send('PUT', BUCKET))
    const objects: ObjectsRow[] = []
    for (const bytes of SIZES) objects.push(...(await measureObjects(node, load, bytes)))
    const few = await measureLocks(node, load, 1, locks)
    const many = await measureLocks(node, load, parseCount('objects', values.objects), locks)
    const uploads = await measureUploads(
      node,
      load,
      parseCount('uploads', values.uploads),
      parseCount('mebibytes', values.mebibytes) * MIB,
    )
    const rows = [...objects, uploads, few, many]
    process.stdout.write(
      values.json
        ? rows.map((row) => `${JSON.stringify(row)}\n`).join('')
        : [objectsTable(objects), locksTable([few, many]), uploadsTable(uploads)].join('\n'),
    )
  } finally {
    load.close()
  }
  return 0
}

async function measureObjects(node: NodeUnderLoad, load: S3Load, bytes: number): Promise<ObjectsRow[]> {
  const objects = requestsOf(BYTES_A_ROW, bytes)
  const targets = Array.from({ length: objects }, (_, index) => `${BUCKET}/${bytes}/${index}`)
  const put = (target: string) => expectStatus(200, load.send('PUT', target, { headers: S3, bytes }))
  const get = (target: string) => expectStatus(200, load.send('GET', target))
  const warmUps = requestsOf(WARM_UP_BYTES, bytes)
  const warm = Array.from({ length: warmUps }, (_, index) => `${BUCKET}/warm/${bytes}/${index}`)
  const rows: ObjectsRow[] = []
  for (const [operation, send] of [
    ['PUT', put],
    ['GET', get],
  ] as const) {
    await eachAtOnce(warm, send)
    const before = node.usage()
    const latencies = await eachAtOnce(targets, send)
    const after = node.usage()
    const cpuSeconds = before && after && after.cpuSeconds - before.cpuSeconds
    rows.push({
      operation,
      bytes,
      objects,
      cpuMicros: cpuSeconds && (cpuSeconds * 1e6) / objects,
      cpuSecondsAGib: cpuSeconds && cpuSeconds / ((bytes * objects) / GIB),
      latency: latencyFrom(latencies),
    })
  }
  await eachAtOnce([...warm, ...targets], (target) => expectStatus(204, load.send('DELETE', target)))
  return rows
}

function requestsOf(bytes: number, bytesEach: number): number {
  return Math.max(AT_ONCE, Math.min(OBJECTS_MAX, bytes / bytesEach))
}

async function measureUploads(
  node: NodeUnderLoad,
  load: S3Load,
  uploads: number,
  bytes: number,
): Promise<UploadsRow> {
  const targets = Array.from({ length: uploads }, (_, index) => `${BUCKET}/long/${index}`)
  await Promise.all(
    targets.map((target) => expectStatus(200, load.send('PUT', target, { headers: S3, bytes }))),
  )
  const peakResidentBytes = node.usage()?.peakResidentBytes
  return { uploads, bytes, peakResidentBytes }
}

async function measureLocks(
  node: NodeUnderLoad,
  load: S3Load,
  objects: number,
  locks: number,
): Promise<LocksRow> {
  const targets = Array.from({ length: objects }, (_, index) => `${BUCKET}/locked/${index}`)
  await eachAtOnce(targets, (target) =>
    expectStatus(200, load.send('PUT', target, { headers: S3, bytes: 100 })),
  )
  const latencies: number[] = []
  for (let lock = 0; lock < locks; lock += 1) {
    const target = targets[lock % targets.length] ?? ''
    await expectStatus(200, load.send('GET', target))
    const startedMs = performance.now()
    await node.keys.disableKey(DEFAULT_KEY)
    await expectStatus(403, load.send('GET', target))
    latencies.push(performance.now() - startedMs)
    await node.keys.enableKey(DEFAULT_KEY)
  }
  await eachAtOnce(targets, (target) => expectStatus(204, load.send('DELETE', target)))
  return { objects, locks, latency: latencyFrom(latencies) }
}

/** @returns milliseconds of each. */
async function eachAtOnce(
  targets: readonly string[],
  send: (target: string) => Promise<void>,
): Promise<number[]> {
  const left = [...targets]
  const latencies: number[] = []
  const work = async () => {
    for (let target = left.shift(); target !== undefined; target = left.shift()) {
      const startedMs = performance.now()
      await send(target)
      latencies.push(performance.now() - startedMs)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return latencies
}

async function expectStatus(expected: number, answer: Promise<number>): Promise<void> {
  const status = await answer
  if (status !== expected) throw new Error(`the node answered ${status} instead of ${expected}`)
}

const cell = (value: number | undefined) => (value === undefined ? '?' : formatNumber(value))

function objectsTable(rows: readonly ObjectsRow[]): string {
  return formatTable(
    ['SSE-S3', 'CPU µs/request', 'CPU s/GiB', 'p50 ms', 'p99 ms'],
    rows.map(({ operation, bytes, cpuMicros, cpuSecondsAGib, latency }) => [
      `${operation} ${bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`}`,
      cell(cpuMicros),
      cell(cpuSecondsAGib),
      formatNumber(latency.p50Ms),
      formatNumber(latency.p99Ms),
    ]),
  )
}

function locksTable(rows: readonly LocksRow[]): string {
  return formatTable(
    ['lock to refusal', 'locks', 'p50 ms', 'p99 ms'],
    rows.map(({ objects, locks, latency }) => [
      `${objects} objects`,
      String(locks),
      formatNumber(latency.p50Ms),
      formatNumber(latency.p99Ms),
    ]),
  )
}

function uploadsTable({ uploads, bytes, peakResidentBytes }: UploadsRow): string {
  return formatTable(
    ['long uploads at once', 'MiB each', 'peak resident MB'],
    [
      [
        String(uploads),
        String(bytes / MIB),
        peakResidentBytes === undefined ? '?' : formatMegabytes(peakResidentBytes),
      ],
    ],
  )
}

export const nodeProgram: Program = {
  question: 'What does the storage node cost? Puts and gets over HTTP, memory, and how soon a lock holds.',
  help: HELP,
  run,
}
