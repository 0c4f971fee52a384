/**
 * The files of the page, as its build has left them.
 *
 * A request is looked up among the names that the folder has, so no path leads out of it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
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
  /** When the page was built whose files are known. */
  #builtMs: number | undefined
  #files: ReadonlyMap<string, string> = new Map()
  readonly #read = new Map<string, Asset>()

  constructor(folder: string) {
    this.#folder = folder
    this.#look()
  }

  get isBuilt(): boolean {
    return this.#builtMs !== undefined
  }

  /**
   * Whoever opens the page gets the one that is built then.
   *
   * @param path - of the request, as sent.
   */
  find(path: string): Asset | undefined {
    if (path === '/') this.#look()
    const known = this.#read.get(path)
    if (known !== undefined) return known
    const file = this.#files.get(path === '/' ? '/index.html' : path)
    if (file === undefined) return undefined
    const asset = readAsset(file, path)
    this.#read.set(path, asset)
    return asset
  }

  #look(): void {
    const builtMs = statSync(join(this.#folder, 'index.html'), { throwIfNoEntry: false })?.mtimeMs
    if (builtMs === this.#builtMs) return
    this.#builtMs = builtMs
    this.#files = builtMs === undefined ? new Map() : filesOf(this.#folder)
    this.#read.clear()
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
