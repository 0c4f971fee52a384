/**
 * Notices that certificate files have changed.
 *
 * It looks at them again and again: what the system tells of changes is lost on network file systems, and with links that
 * are set to another folder, which is how Kubernetes replaces them.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A change is told after two looks that saw the same, so within twice this time. */
const LOOK_MS = 150

export class CertificateWatch {
  readonly #paths: () => readonly string[]
  readonly #onChange: () => Promise<void>
  #timer: NodeJS.Timeout | undefined
  #told: string | undefined
  #lastSeen: string | undefined
  #isStopped = false

  /**
   * @param paths - files, or folders of files.
   * @param onChange - called when the files differ from what they were at its last call, and rest: key and certificate
   *   are seldom replaced in one step. Called once at the beginning, too, for what changed before the first look.
   */
  constructor(paths: () => readonly string[], onChange: () => Promise<void>) {
    this.#paths = paths
    this.#onChange = onChange
    this.#lookLater()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #lookLater(): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => void this.#look().finally(() => this.#lookLater()), LOOK_MS).unref()
  }

  async #look(): Promise<void> {
    const paths = this.#paths()
    if (paths.length === 0) return
    const seen = (await Promise.all(paths.map(stampOf))).join('\n')
    if (seen === this.#lastSeen && seen !== this.#told && !this.#isStopped) {
      this.#told = seen
      await this.#onChange()
    }
    this.#lastSeen = seen
  }
}

/** Differs whenever the content of the file, or of a file in the folder, may differ. */
async function stampOf(path: string): Promise<string> {
  try {
    const names = (await stat(path)).isDirectory() ? (await readdir(path)).sort() : []
    const paths = [path, ...names.map((name) => join(path, name))]
    return (await Promise.all(paths.map(fileStampOf))).join('\n')
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code}` // Gone, or not to be read: a state like any other.
  }
}

async function fileStampOf(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return [path, ino, size, mtimeNs, ctimeNs].join(' ')
}
