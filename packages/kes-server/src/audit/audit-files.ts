/**
 * The files of an audit log: `audit.jsonl` in the config stands for `audit-00000001.jsonl`, `audit-00000002.jsonl` and
 * so on, in the order of their lines. A file keeps its name for life; the last one is being written.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
} from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { nearestFolder } from '../disk/nearest-folder.ts'
import { AuditOpenError } from './audit-open-error.ts'
import { BEFORE_FIRST, isChainedTo, type Link, parseLine } from './chain.ts'
import { type FileHeader, parseHeader } from './lines.ts'

const NUMBER_DIGITS = 8
/** A first line has less. */
export const HEADER_BYTES_MAX = 64 * 1024
/** More than a usual batch of the writer, the last of which is all that a crash can have torn. */
const TAIL_BYTES = 2 ** 20

export class AuditFiles {
  readonly folder: string
  readonly #stem: string
  readonly #extension: string

  /** @param path - as in the config. */
  constructor(path: string) {
    this.folder = dirname(path)
    this.#extension = extname(path)
    this.#stem = basename(path, this.#extension)
  }

  nameOf(number: number): string {
    return `${this.#stem}-${String(number).padStart(NUMBER_DIGITS, '0')}${this.#extension}`
  }

  pathOf(number: number): string {
    return join(this.folder, this.nameOf(number))
  }

  /** @returns undefined if it is no name of these files. */
  numberOf(name: string): number | undefined {
    const digits = name.slice(this.#stem.length + 1, name.length - this.#extension.length)
    if (!/^\d{8,15}$/.test(digits)) return undefined
    const number = Number(digits)
    return this.nameOf(number) === name ? number : undefined
  }

  /** The numbers of those that are there, in order. */
  numbers(): number[] {
    const numbers = readdirSync(this.folder).map((name) => this.numberOf(name))
    return numbers.filter((number) => number !== undefined).sort((a, b) => a - b)
  }

  /** A new or removed file survives a power cut only once its folder has been written. */
  syncFolder(): void {
    const folder = openSync(this.folder, 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  }
}

/**
 * Makes the folder for a path of the config, for its owner alone, if there is none.
 *
 * @throws {@link AuditOpenError}
 */
export function makeAuditFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  } catch (error) {
    throw AuditOpenError.of(path, error)
  }
}

/**
 * Whether this user could go on with the files, or begin them, and the next one after them. Nothing is made or changed.
 *
 * @param path - as in the config.
 * @throws an error that says why not.
 */
export function assertAuditWritable(path: string): void {
  const files = new AuditFiles(path)
  const folder = nearestFolder(files.folder)
  if (!statSync(folder).isDirectory()) throw new Error(`'${folder}' is not a folder`)
  accessSync(folder, constants.W_OK | constants.X_OK)
  if (folder !== files.folder) return
  const last = files.numbers().at(-1)
  if (last !== undefined) closeSync(openSync(files.pathOf(last), 'r+'))
}

/** Where a file stops being a chain of whole lines. */
export interface Tail {
  readonly header: FileHeader
  /** The last whole line. */
  readonly last: Link
  /** Bytes up to its end. */
  readonly bytes: number
  /** Bytes behind it. */
  readonly tornBytes: number
  /** Whether the line of the number that was asked for, if it is among the last, has that hash. */
  readonly hasExpected: boolean
}

/**
 * Reads the end of an audit file, as it was left by a server that may have been killed.
 *
 * @param expected - a line that may be among the last.
 * @returns undefined if not even its first line is whole.
 */
export function readTail(path: string, expected: Link = BEFORE_FIRST): Tail | undefined {
  const { size } = statSync(path)
  for (let length = TAIL_BYTES; ; length *= 8) {
    const tail = readTailOf(path, size, Math.max(0, size - length), expected)
    if (tail !== undefined || length >= size) return tail
  }
}

function readTailOf(path: string, size: number, start: number, expected: Link): Tail | undefined {
  const [first] = splitLines(readBytes(path, 0, Math.min(size, HEADER_BYTES_MAX)))
  const header = first && parseHeader(first.toString())
  const opening = first && parseLine(first)
  if (header === undefined || opening === undefined || !isChainedTo(header.previous, opening))
    return undefined

  let position = start
  let last: Link | undefined
  let bytes = start
  let hasExpected = true
  for (const line of splitLines(readBytes(path, start, size - start))) {
    position += line.length + 1
    const parsed = parseLine(line)
    // In the middle of a long file nothing is known of the lines before: the first whole one is taken as it is.
    if (last === undefined && start > 0 && parsed === undefined) continue
    const previous = last?.hash ?? (start > 0 ? undefined : header.previous)
    const isNext = last === undefined || parsed?.seq === last.seq + 1
    if (parsed === undefined || !isNext || !(previous === undefined || isChainedTo(previous, parsed))) break
    if (parsed.seq === expected.seq && parsed.hash !== expected.hash) hasExpected = false
    last = { seq: parsed.seq, hash: parsed.hash }
    bytes = position
  }
  if (last === undefined) return undefined
  return { header, last, bytes, tornBytes: size - bytes, hasExpected }
}

/** Whole lines, without their line feeds. */
function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  let from = 0
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, from)) {
    lines.push(bytes.subarray(from, at))
    from = at + 1
  }
  return lines
}

export function readBytes(path: string, position: number, length: number): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(file, bytes, 0, length, position))
  } finally {
    closeSync(file)
  }
}
