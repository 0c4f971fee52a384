/**
 * A folder of keys as the Go KES has it: a file a key, the file's name is the key's, its content KES's text.
 *
 * The Go KES lists every entry of the folder. So files are made whole in a place of their own, the staging place, and
 * appear in the folder by a link, which never replaces a file; and they leave it by a rename, before they are
 * overwritten. Whatever moment the process is killed at, a name in the folder has all of its key, or is not there.
 */
import assert from 'node:assert/strict'
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  KesError,
  KeyExistsError,
  RecordDamagedError,
  type StoreAction,
  StoreError,
  StoreUnreachableError,
} from '../errors.ts'
import { messageOf } from '../message-of.ts'
import { isName, type KeyName } from '../names.ts'
import { StoreOpenError } from './open-errors.ts'
import { isCode, syncDirectory } from './store-file.ts'

/** As KES reads at most. */
const VALUE_BYTES_MAX = 2 ** 20
const OTHERS_WRITE = 0o022
const OTHERS_ANY = 0o077
/** No name of a key begins so; KES refuses names with a dot. */
const HIDDEN = '.latchkey-'

/** Why one file can't be opened while others can: a symbolic link, a socket, no permission. */
const OF_THIS_FILE = ['ELOOP', 'ENXIO', 'EACCES']

/** Why there can be no folder beside the folder of keys. */
const NOT_BESIDE = ['EROFS', 'EACCES', 'EPERM', 'EEXIST', 'ENOTDIR']

/** An entry of the folder that is a key's by its name. */
export interface KeyFile {
  readonly value: Buffer
  /** Whether users other than the owner may read or write it. */
  readonly isOpenToOthers: boolean
}

export class KeyFolder {
  /** Without symbolic links. */
  readonly path: string
  /**
   * How a file's path begins until it has its place, and once it has lost it. Inside of the folder, where nothing else
   * works because the folder is a mount point, these are hidden files, each for a moment.
   */
  #staging: string | undefined
  readonly #opened: Stats
  #staged = 0

  private constructor(path: string) {
    this.path = path
    this.#opened = statSync(path)
  }

  /** The folder's path without symbolic links; makes it (0700, with its parents) if there is none. */
  static resolve(path: string): string {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      const real = realpathSync(path)
      if (statSync(real).isDirectory()) return real
    } catch (cause) {
      if (!isCode(cause, 'EEXIST') && !isCode(cause, 'ENOTDIR')) {
        const text = `the folder of keys '${path}' can not be opened (${messageOf(cause)})`
        throw new StoreOpenError(path, text, { cause })
      }
    }
    throw new StoreOpenError(path, `fs: '${path}' is not a directory`)
  }

  /** To read from; nothing is written, and nothing is locked. */
  static view(path: string): KeyFolder {
    return new KeyFolder(path)
  }

  /**
   * Only for the process that holds the store's lock: removes what a killed one has left in the staging place.
   *
   * @param path - as {@link KeyFolder.resolve} has returned it.
   * @throws {@link StoreOpenError}
   */
  static open(path: string): KeyFolder {
    try {
      const folder = KeyFolder.view(path)
      folder.#staging = stagingBeside(path) ?? folder.#hidden
      folder.#removeStaged(folder.#staging)
      return folder
    } catch (cause) {
      if (cause instanceof StoreOpenError) throw cause
      const text = `the folder of keys '${path}' can not be written (${messageOf(cause)})`
      throw new StoreOpenError(path, text, { cause })
    }
  }

  /** What an operator should know about the folder's permissions. */
  get warnings(): string[] {
    if (process.platform === 'win32' || (this.#opened.mode & OTHERS_WRITE) === 0) return []
    return [`other users can replace keys in '${this.path}': run chmod 700 '${this.path}'`]
  }

  /** What a Latchkey has left that wrote to this folder, or may write now. One that can't write beside it leaves nothing. */
  get trace(): string | undefined {
    const beside = placeBeside(this.path)
    if (existsSync(beside)) return beside
    const hidden = readdirSync(this.path).find((entry) => entry.startsWith(HIDDEN))
    return hidden === undefined ? undefined : join(this.path, hidden)
  }

  /** Every entry that has the name of a key, and the number of those that have not. */
  names(): { readonly names: KeyName[]; readonly others: number } {
    const entries = readdirSync(this.path).filter((entry) => !entry.startsWith(HIDDEN))
    const names = entries.filter(isName).map((name) => name as KeyName)
    return { names, others: entries.length - names.length }
  }

  /** Whether anything stands under this name. */
  has(name: KeyName): boolean {
    return isName(name) && lstatSync(join(this.path, name), { throwIfNoEntry: false }) !== undefined
  }

  /**
   * @returns undefined if there is no such file.
   * @throws {@link RecordDamagedError} (502) if what stands under the name can't be a key; {@link StoreError} (502)
   */
  read(name: KeyName): KeyFile | undefined {
    if (!isName(name)) return undefined
    return this.#attempt('read key', () => {
      let file: number
      try {
        file = openSync(
          join(this.path, name),
          constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
        )
      } catch (error) {
        if (isCode(error, 'ENOENT')) return undefined
        throw OF_THIS_FILE.some((code) => isCode(error, code)) ? unfit(name, messageOf(error)) : error
      }
      try {
        const stats = fstatSync(file)
        if (!stats.isFile()) throw unfit(name, 'it is not a regular file')
        if (stats.size > VALUE_BYTES_MAX) throw unfit(name, `it has ${stats.size} bytes`)
        return { value: readFileSync(file), isOpenToOthers: (stats.mode & OTHERS_ANY) !== 0 }
      } finally {
        closeSync(file)
      }
    })
  }

  /**
   * Gives a key its file, whole or not at all. It outlives a power cut after {@link KeyFolder.sync}.
   *
   * @throws {@link KeyExistsError} (400) if anything stands under the name.
   */
  place(name: KeyName, value: Uint8Array): void {
    this.#attempt('create key', () => {
      if (!isName(name)) throw new Error('the name is not that of a key')
      this.#withStaged((staged) => {
        try {
          writeFileSync(staged, value, { flag: 'wx', mode: 0o600, flush: true })
          linkNew(staged, join(this.path, name))
        } finally {
          rmSync(staged, { force: true })
        }
      })
    })
  }

  /** Takes back what {@link KeyFolder.place} did in a transaction that failed. */
  unplace(name: KeyName): void {
    rmSync(join(this.path, name), { force: true })
  }

  /** Everything that was placed survives a power cut when this returns. */
  sync(): void {
    this.#attempt('create key', () => syncDirectory(this.path))
  }

  /**
   * Removes a key's file for good: when this returns, the name is gone from the disk, and the bytes were overwritten
   * where the file system overwrites in place.
   *
   * @throws what the disk answered.
   */
  remove(name: KeyName): void {
    if (!this.has(name)) return
    this.#withStaged((staged) => {
      renameSync(join(this.path, name), staged)
      syncDirectory(this.path)
      overwriteAndUnlink(staged)
    })
  }

  /** @throws {@link StoreUnreachableError} (504) if the folder is no longer the one that was opened. */
  async assertReachable(): Promise<void> {
    const found = await stat(this.path).catch(() => undefined)
    if (found?.isDirectory() && found.ino === this.#opened.ino && found.dev === this.#opened.dev) return
    const what = found === undefined ? 'gone' : 'another folder than the one that was opened'
    throw new StoreUnreachableError({ detail: `'${this.path}' is ${what}` })
  }

  #withStaged(body: (path: string) => void): void {
    assert(this.#staging !== undefined, 'the folder was opened to be read')
    this.#staged += 1
    const suffix = `${process.pid}-${this.#staged}`
    try {
      body(this.#staging + suffix)
    } catch (error) {
      if (!isCode(error, 'EXDEV')) throw error
      // One file system, mounted twice: neither links nor renames lead from one mount to the other.
      this.#staging = this.#hidden
      body(this.#staging + suffix)
    }
  }

  get #hidden(): string {
    return join(this.path, HIDDEN)
  }

  #removeStaged(staging: string): void {
    const places = [staging, this.#hidden].flatMap((place) =>
      readdirSync(dirname(place))
        .filter((entry) => entry.startsWith(basename(place)))
        .map((entry) => join(dirname(place), entry)),
    )
    for (const path of new Set(places)) {
      // A second name of a file that has its place already: its bytes are a key's.
      if (lstatSync(path).nlink > 1) unlinkSync(path)
      else overwriteAndUnlink(path)
    }
  }

  #attempt<T>(action: StoreAction, body: () => T): T {
    try {
      return body()
    } catch (cause) {
      if (cause instanceof KesError) throw cause
      throw new StoreError(action, { detail: `the folder of keys failed: ${messageOf(cause)}`, cause })
    }
  }
}

function linkNew(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    throw isCode(error, 'EEXIST') ? new KeyExistsError() : error
  }
}

function unfit(name: KeyName, why: string): RecordDamagedError {
  return new RecordDamagedError('read key', { detail: `the file of key '${name}' can not be read: ${why}` })
}

/**
 * How paths of the staging place begin: in a folder beside the keys, which the Go KES does not look into.
 *
 * @returns undefined where that can't be: the parent is not ours to write to, or of another file system.
 */
function stagingBeside(path: string): string | undefined {
  const beside = placeBeside(path)
  try {
    mkdirSync(beside, { recursive: true, mode: 0o700 })
    return statSync(beside).dev === statSync(path).dev ? join(beside, 'key-') : undefined
  } catch (error) {
    if (NOT_BESIDE.some((code) => isCode(error, code))) return undefined
    throw error
  }
}

function placeBeside(path: string): string {
  return `${path}.latchkey.new`
}

/** Overwriting is worth trying, but a file that can't be written to must go all the same. */
function overwriteAndUnlink(path: string): void {
  let file: number | undefined
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = fstatSync(file)
    if (stats.isFile()) writeSync(file, Buffer.alloc(stats.size))
    fsyncSync(file)
  } catch {
    // Unlinking is what counts; docs/fs-store.md says what overwriting can't promise.
  } finally {
    if (file !== undefined) closeSync(file)
  }
  unlinkSync(path)
}
