/** Reads and writes small files of keys and certificates. */
import { randomUUID, X509Certificate } from 'node:crypto'
import {
  accessSync,
  constants,
  createReadStream,
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { diskProblemOf } from '../message-of.ts'
import { filesOf } from '../tls/files-of.ts'
import { CliError } from './outcome.ts'

/** One whose end is missing counts as damaged. */
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----.*?(?:-----END CERTIFICATE-----|$)/gs

/** @throws {@link CliError} `open x.pem: no such file or directory` */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw fileError(path, error)
  }
}

/** The certificates of a file, or of all files of a folder, whatever else stands there. @throws {@link CliError} */
export function readCertificates(path: string): X509Certificate[] {
  let files: string[]
  try {
    files = filesOf(path)
  } catch (error) {
    throw fileError((error as NodeJS.ErrnoException).path ?? path, error)
  }
  return files.flatMap((file) => certificatesIn(readTextFile(file), file))
}

/** The certificates of a PEM text. @throws {@link CliError} if one is damaged. */
export function certificatesIn(text: string, path: string): X509Certificate[] {
  try {
    return (text.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem))
  } catch {
    throw new CliError(`'${path}' has a damaged certificate`)
  }
}

/** A line of a file, byte for byte. */
export interface RawLine {
  /** Without its line feed. */
  readonly bytes: Buffer
  /** False of what stands behind the last line feed, if anything does. */
  readonly isWhole: boolean
}

const LINE_FEED = 0x0a

/** The lines of a file of any length. Nothing but a line feed ends a line. @throws {@link CliError} */
export async function* readLines(path: string): AsyncGenerator<RawLine> {
  let rest: Buffer[] = []
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let from = 0
      for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
        const end = chunk.subarray(from, at)
        yield { bytes: rest.length === 0 ? end : Buffer.concat([...rest, end]), isWhole: true }
        rest = []
        from = at + 1
      }
      if (from < chunk.length) rest.push(chunk.subarray(from))
    }
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? fileError(path, error) : error
  }
  if (rest.length > 0) yield { bytes: Buffer.concat(rest), isWhole: false }
}

/**
 * To be asked before something is made that goes into a new file.
 *
 * @throws {@link CliError} if there is a file of this name, or can't be one.
 */
export function assertCanMake(path: string): void {
  if (existsSync(path)) throw new CliError(`the file '${path}' exists already`)
  try {
    accessSync(`${dirname(path)}/`, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw fileError(path, error)
  }
}

/** All of a file, on the disk, under another name in the same folder until it takes its own. */
export class StagedFile {
  readonly path: string
  readonly #temporary: string

  /** @throws {@link CliError}, and nothing is left. */
  constructor(path: string, text: string, mode: number) {
    this.path = path
    this.#temporary = join(dirname(path), `.${randomUUID()}.tmp`)
    try {
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
        throw new CliError(`open ${path}: is a directory`)
      writeFileSync(this.#temporary, text, { flag: 'wx', mode, flush: true })
    } catch (error) {
      this.discard()
      throw fileError(path, error)
    }
  }

  /**
   * @returns false, and nothing has changed, if the file exists and must not be replaced.
   * @throws {@link CliError}
   */
  place({ replace }: { replace: boolean }): boolean {
    try {
      if (replace) renameSync(this.#temporary, this.path)
      else linkSync(this.#temporary, this.path)
      return true
    } catch (error) {
      if (!replace && error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
      throw fileError(this.path, error)
    } finally {
      this.discard()
    }
  }

  discard(): void {
    if (existsSync(this.#temporary)) rmSync(this.#temporary)
  }
}

/**
 * Writes all or nothing, and durably.
 *
 * @returns false, and nothing has changed, if the file exists and must not be replaced.
 * @throws {@link CliError}
 */
export function writeFileAtomically(
  path: string,
  text: string,
  { mode, replace }: { mode: number; replace: boolean },
): boolean {
  return new StagedFile(path, text, mode).place({ replace })
}

export function fileError(path: string, error: unknown): CliError {
  if (error instanceof CliError) return error
  return new CliError(`open ${path}: ${diskProblemOf(error)}`)
}
