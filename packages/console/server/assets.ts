/**
 * The files of the page, as its build has left them.
 *
 * A request is looked up among the names that the folder has, so no path leads out of it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { gzipSync } from 'node:zlib'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
}
const COMPRESSED = ['.html', '.js', '.css', '.svg', '.json', '.txt']

export interface Asset {
  readonly type: string
  readonly content: Buffer
  /** Undefined where it does not pay. */
  readonly gzipped: Buffer | undefined
  /** Whether its name changes with its content, so that it may be kept for ever. */
  readonly isHashed: boolean
}

export class Assets {
  readonly #folder: string
  #files: ReadonlyMap<string, string> | undefined
  readonly #read = new Map<string, Asset>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Whether there is a page. One that is built while the server runs is found. */
  get isBuilt(): boolean {
    if (this.#files === undefined && existsSync(join(this.#folder, 'index.html'))) {
      this.#files = filesOf(this.#folder)
    }
    return this.#files !== undefined
  }

  /** @param path - of the request, as sent. */
  find(path: string): Asset | undefined {
    const known = this.#read.get(path)
    if (known !== undefined || !this.isBuilt) return known
    const file = this.#files?.get(path === '/' ? '/index.html' : path)
    if (file === undefined) return undefined
    const asset = readAsset(file, path)
    this.#read.set(path, asset)
    return asset
  }
}

function filesOf(folder: string): ReadonlyMap<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return new Map(
    entries.map((entry) => {
      const file = join(entry.parentPath, entry.name)
      return [file.slice(folder.replace(/\/$/, '').length).replaceAll('\\', '/'), file]
    }),
  )
}

function readAsset(file: string, path: string): Asset {
  const content = readFileSync(file)
  const extension = extname(file)
  return {
    type: TYPES[extension] ?? 'application/octet-stream',
    content,
    gzipped: COMPRESSED.includes(extension) ? gzipSync(content, { level: 9 }) : undefined,
    isHashed: path.startsWith('/assets/'),
  }
}
