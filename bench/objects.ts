/** What does an object cost below the S3 side? Keys, encryption, MD5 and disk, in this process, without a network. */
import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { BuiltinKms } from '@latchkey/kms-client/kms'
import {
  beginEncryption,
  type DareCipher,
  DareDecryptor,
  DareEncryptor,
  encodeEncryption,
  encryptContent,
  FileObjectStore,
  openEncryption,
  readContent,
  sealEtag,
} from '@latchkey/storage-node'
import { TemporaryFolder } from './cleanup.ts'
import { type Program, parseCount } from './program.ts'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
/** What a socket gives at a time. */
const PIECE_BYTES = 64 * KIB
const BUCKET = 'bucket'
const CIPHERS: readonly DareCipher[] = ['AES-256-GCM', 'ChaCha20-Poly1305']
const SIZES: readonly number[] = [4 * KIB, MIB, 64 * MIB]
const KINDS = ['plain', 'SSE-S3'] as const
/** Few of the long objects, many of the short ones. */
const BYTES_A_ROW = 256 * MIB
const OBJECTS_MAX = 2000
const AT_ONCE = 8

const HELP = `npm run bench -- objects [options]

What does an object cost below the S3 side? Prints the CPU time of encryption alone, of puts and gets of objects
of three sizes (each put waits until the disk has it, ${AT_ONCE} run at a time), and the memory at many long uploads.

  --uploads N      long uploads at the same time   (default: 16)
  --mebibytes N    of each of them                 (default: 256)
  --folder DIR     on the disk to look at          (default: the system's for temporary files)
  --json           one JSON line a row instead of tables
`

interface Options {
  readonly uploads: number
  readonly uploadBytes: number
  readonly folder: string | undefined
  readonly isJson: boolean
}

interface Cost {
  readonly cpuSeconds: number
  readonly wallSeconds: number
}

interface DareRow {
  readonly cipher: DareCipher
  readonly encryptCpuSecondsAGib: number
  readonly decryptCpuSecondsAGib: number
}

interface ObjectRow {
  readonly kind: (typeof KINDS)[number]
  readonly bytes: number
  readonly objects: number
  readonly put: Cost
  readonly get: Cost
}

interface UploadsRow {
  readonly uploads: number
  readonly bytes: number
  readonly residentBytes: number
  readonly put: Cost
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      uploads: { type: 'string', default: '16' },
      mebibytes: { type: 'string', default: '256' },
      folder: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    uploads: parseCount('uploads', values.uploads),
    uploadBytes: parseCount('mebibytes', values.mebibytes) * MIB,
    folder: values.folder,
    isJson: values.json,
  }
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const dare = CIPHERS.map(measureDare)
  using folder = new TemporaryFolder(options.folder)
  await using store = await FileObjectStore.open(folder.path)
  await store.createBucket(BUCKET)
  const bench = new Bench(store)
  const objects: ObjectRow[] = []
  for (const kind of KINDS) for (const bytes of SIZES) objects.push(await bench.measure(kind, bytes))
  const uploads = await bench.measureUploads(options.uploads, options.uploadBytes)
  const rows = [...dare, ...objects, uploads]
  process.stdout.write(
    options.isJson
      ? rows.map((row) => `${JSON.stringify(row)}\n`).join('')
      : `${dareTable(dare)}\n${objectTable(objects)}\n${uploadsTable(uploads)}`,
  )
  return 0
}

async function costOf(work: () => Promise<unknown> | undefined): Promise<Cost> {
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  return { cpuSeconds: (user + system) / 1e6, wallSeconds: (performance.now() - startMs) / 1000 }
}

function measureDare(cipher: DareCipher): DareRow {
  const key = createSecretKey(randomBytes(32))
  // Small enough for the processor's cache, where what a socket has just read is, too.
  const content = randomBytes(MIB)
  const encryptOnce = (onBlock: (block: Buffer) => void) => {
    const encryptor = new DareEncryptor(key, { cipher })
    for (const block of encryptor.update(content)) onBlock(block)
    for (const block of encryptor.end()) onBlock(block)
  }
  const blocks: Buffer[] = []
  encryptOnce((block) => blocks.push(Buffer.from(block)))
  const decryptOnce = () => {
    const decryptor = new DareDecryptor(key, { versionMin: '2.0' })
    for (const block of blocks) for (const _ of decryptor.update(block));
    decryptor.end()
  }
  return {
    cipher,
    encryptCpuSecondsAGib: cpuSecondsAGib(content.length, () => encryptOnce(() => {})),
    decryptCpuSecondsAGib: cpuSecondsAGib(content.length, decryptOnce),
  }
}

/** Of half a GiB, after a warming up. */
function cpuSecondsAGib(bytes: number, once: () => void): number {
  const times = GIB / 2 / bytes
  once()
  const cpu = process.cpuUsage()
  for (let time = 0; time < times; time += 1) once()
  const { user, system } = process.cpuUsage(cpu)
  return (2 * (user + system)) / 1e6
}

class Bench {
  readonly #store: FileObjectStore
  readonly #kms = new BuiltinKms('my-key', randomBytes(32))
  readonly #piece = randomBytes(PIECE_BYTES)

  constructor(store: FileObjectStore) {
    this.#store = store
  }

  async measure(kind: ObjectRow['kind'], bytes: number): Promise<ObjectRow> {
    const objects = Math.min(OBJECTS_MAX, BYTES_A_ROW / bytes)
    const keys = Array.from({ length: objects }, (_, index) => `${kind}/${bytes}/${index}`)
    await this.#put('warm', kind, bytes)
    const put = await costOf(() => eachAtOnce(keys, (key) => this.#put(key, kind, bytes)))
    await this.#get('warm')
    const get = await costOf(() => eachAtOnce(keys, (key) => this.#get(key)))
    for (const key of ['warm', ...keys]) await this.#store.delete(BUCKET, key)
    return { kind, bytes, objects, put, get }
  }

  async measureUploads(uploads: number, bytes: number): Promise<UploadsRow> {
    let residentBytes = 0
    const watch = setInterval(() => {
      residentBytes = Math.max(residentBytes, process.memoryUsage.rss())
    }, 20)
    const keys = Array.from({ length: uploads }, (_, index) => `long/${index}`)
    const put = await costOf(() => Promise.all(keys.map((key) => this.#put(key, 'SSE-S3', bytes))))
    clearInterval(watch)
    for (const key of keys) await this.#store.delete(BUCKET, key)
    return { uploads, bytes, residentBytes, put }
  }

  async #put(key: string, kind: ObjectRow['kind'], size: number): Promise<void> {
    const md5 = createHash('md5')
    const content = this.#content(size, md5)
    if (kind === 'plain') {
      const finish = () => ({ size, etag: md5.digest('hex'), internal: {}, headers: {} })
      await this.#store.put(BUCKET, key, content, finish, { isAuthenticated: false })
      return
    }
    const { objectKey, stored } = await beginEncryption(this.#kms, { bucket: BUCKET, key }, { kind })
    const finish = () => ({
      size,
      etag: sealEtag(objectKey, md5.digest()),
      internal: encodeEncryption(stored),
      headers: {},
    })
    await this.#store.put(BUCKET, key, encryptContent(content, objectKey), finish, { isAuthenticated: true })
  }

  async *#content(size: number, md5: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_BYTES, size - at))
      md5.update(piece)
      yield piece
    }
  }

  async #get(key: string): Promise<void> {
    await using object = await this.#store.open(BUCKET, key)
    const { record } = object
    const objectKey = await openEncryption(this.#kms, { bucket: BUCKET, key }, record.internal)
    for await (const _ of readContent(object, objectKey, { offset: 0, length: record.size }));
  }
}

async function eachAtOnce(keys: readonly string[], work: (key: string) => Promise<void>): Promise<void> {
  const left = [...keys]
  const next = async () => {
    for (let key = left.shift(); key !== undefined; key = left.shift()) await work(key)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}

function dareTable(rows: readonly DareRow[]): string {
  return formatTable(
    ['content alone, CPU s/GiB', 'encrypt', 'decrypt'],
    rows.map(({ cipher, encryptCpuSecondsAGib, decryptCpuSecondsAGib }) => [
      cipher,
      formatNumber(encryptCpuSecondsAGib),
      formatNumber(decryptCpuSecondsAGib),
    ]),
  )
}

function objectTable(rows: readonly ObjectRow[]): string {
  const micros = ({ cpuSeconds }: Cost, objects: number) => formatNumber((cpuSeconds * 1e6) / objects)
  return formatTable(
    ['object', 'KiB', 'put CPU µs', 'put CPU s/GiB', 'put/s', 'get CPU µs', 'get CPU s/GiB', 'get/s'],
    rows.map(({ kind, bytes, objects, put, get }) => {
      const aGib = (cost: Cost) => formatNumber((cost.cpuSeconds * GIB) / (bytes * objects))
      const rate = (cost: Cost) => formatNumber(objects / cost.wallSeconds)
      return [
        kind,
        String(bytes / KIB),
        micros(put, objects),
        aGib(put),
        rate(put),
        micros(get, objects),
        aGib(get),
        rate(get),
      ]
    }),
  )
}

function uploadsTable({ uploads, bytes, residentBytes, put }: UploadsRow): string {
  return formatTable(
    ['uploads at once', 'MiB each', 'CPU s/GiB', 'resident MB'],
    [
      [
        String(uploads),
        String(bytes / MIB),
        formatNumber((put.cpuSeconds * GIB) / (uploads * bytes)),
        formatMegabytes(residentBytes),
      ],
    ],
  )
}

export const objectsProgram: Program = {
  question: 'What does an object cost below the S3 side? Encryption alone, puts and gets, memory.',
  help: HELP,
  run,
}
