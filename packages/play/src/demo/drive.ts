/** What lies on the drive, read as a thief of it would: the files, without any key. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const FOOTER_BYTES = 32
const ROW_BYTES = 16

/** The file of an object; docs/node-files.md has its form. */
export interface ObjectFile {
  /** From the data folder. */
  readonly path: string
  /** As stored. */
  readonly content: Buffer
  /** MinIO's internal metadata. */
  readonly metadata: Readonly<Record<string, string>>
}

/** @returns undefined if no file is of this object. */
export function findObjectFile(folder: string, key: string): ObjectFile | undefined {
  const files = join(folder, 'files')
  for (const path of filesIn(files)) {
    const file = readFileSync(path)
    const { record, contentBytes } = readTail(file)
    if (record.kind === 'object' && record.key === key) {
      return {
        path: relative(folder, path),
        content: file.subarray(0, contentBytes),
        metadata: record.internal ?? {},
      }
    }
  }
  return undefined
}

interface Tail {
  readonly contentBytes: number
  readonly record: {
    readonly kind: string
    readonly key?: string
    readonly internal?: Readonly<Record<string, string>>
  }
}

function readTail(file: Buffer): Tail {
  const footer = file.length - FOOTER_BYTES
  const recordBytes = file.readUInt32LE(footer + 12)
  return {
    contentBytes: Number(file.readBigUInt64LE(footer)),
    record: JSON.parse(file.subarray(footer - recordBytes, footer).toString()),
  }
}

/** The files below a folder that hold these bytes. */
export function filesThatHold(folder: string, bytes: Uint8Array): string[] {
  return filesIn(folder).filter((path) => readFileSync(path).includes(bytes))
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Rows as `hexdump -C` prints them. */
export function hexRows(bytes: Buffer, rows: number): string[] {
  return Array.from({ length: Math.min(rows, Math.ceil(bytes.length / ROW_BYTES)) }, (_, row) => {
    const slice = bytes.subarray(row * ROW_BYTES, (row + 1) * ROW_BYTES)
    const hex = [...slice].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = [...slice]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('')
    return `${(row * ROW_BYTES).toString(16).padStart(8, '0')}  ${hex.padEnd(ROW_BYTES * 3 - 1)}  |${text}|`
  })
}
