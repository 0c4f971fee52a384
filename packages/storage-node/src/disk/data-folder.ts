/**
 * The data folder: whose it is, and what lies in it. `file-folder.ts` has the files of objects.
 *
 *     node.json    says that the folder is one of this program's
 *     lock.db      held by the process that uses it
 *     index.db     SQLite, beside its log
 *     incoming/  files/
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nextOf, replaceFile, syncDirectory } from './durable-file.ts'
import { NotADataFolderError } from './errors.ts'
import { codeOf } from './file-folder.ts'

const MARK = 'node.json'
const FORMAT = 'latchkey-node'
const VERSION = 1

/**
 * Makes the folder, or sees that it is one.
 *
 * @throws {@link NotADataFolderError} if something else lies in it.
 */
export function prepareDataFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const mark = readMark(path)
  if (mark === undefined) {
    const other = readdirSync(path).find((name) => ![MARK, nextOf(MARK)].includes(name))
    if (other !== undefined) throw new NotADataFolderError(path, `it holds '${other}', but no ${MARK}`)
    replaceFile(join(path, MARK), `${JSON.stringify({ format: FORMAT, version: VERSION })}\n`)
  } else {
    checkMark(path, mark)
  }
  makeDirectories(path)
}

/** Sees that a folder is one, and makes nothing. @throws {@link NotADataFolderError} */
export function checkDataFolder(path: string): void {
  const mark = readMark(path)
  if (mark === undefined) throw new NotADataFolderError(path, `it holds no ${MARK}`)
  checkMark(path, mark)
}

/** @see FileFolder */
function makeDirectories(path: string): void {
  const shards = Array.from({ length: 256 }, (_, shard) => shard.toString(16).padStart(2, '0'))
  const names = ['incoming', 'files', ...shards.map((shard) => join('files', shard))]
  const made = names.filter((name) => makeDirectory(join(path, name)))
  if (made.length === 0) return
  syncDirectory(join(path, 'files'))
  syncDirectory(path)
}

function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

function readMark(path: string): string | undefined {
  try {
    const text = readFileSync(join(path, MARK), 'utf8')
    // Empty after a power cut at the first start.
    return text === '' ? undefined : text
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function checkMark(path: string, text: string): void {
  const mark = parseMark(text)
  if (mark?.format !== FORMAT) throw new NotADataFolderError(path, `its ${MARK} is not of this program`)
  if (mark.version !== VERSION) {
    const problem = `its format has version ${mark.version}, and this program knows ${VERSION}`
    throw new NotADataFolderError(path, problem)
  }
}

function parseMark(text: string): { readonly format?: unknown; readonly version?: unknown } | undefined {
  try {
    const mark: unknown = JSON.parse(text)
    return typeof mark === 'object' && mark !== null ? mark : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
