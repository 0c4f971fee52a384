/** A folder for the files of a harness. It is removed on disposal, or else when the process exits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folders = new Set<string>()

function removeAll(): void {
  for (const path of folders) rmSync(path, { recursive: true, force: true })
}

export class TemporaryFolder implements Disposable {
  readonly #path: string

  /** Readable by its owner alone. */
  constructor(prefix: string) {
    if (folders.size === 0) process.on('exit', removeAll)
    this.#path = mkdtempSync(join(tmpdir(), prefix))
    folders.add(this.#path)
  }

  /** @returns the path of the file. */
  write(name: string, text: string): string {
    const path = join(this.#path, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true })
    folders.delete(this.#path)
    if (folders.size === 0) process.off('exit', removeAll)
  }
}
