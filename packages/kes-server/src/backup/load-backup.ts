/** The lines of a backup → a store file, not yet opened. */
import { LoadError, StoreLoader } from '../store/store-loader.ts'
import { BackupFormatError, type BackupHeader, decodeHeader, decodeLine } from './format.ts'

/**
 * @param path - where the file is made.
 * @param onProgress - told how many rows of how many there are.
 * @throws {@link BackupFormatError}, {@link LoadError}
 */
export async function loadBackup(
  lines: AsyncIterable<string>,
  path: string,
  onProgress: (done: number, total: number) => void,
): Promise<BackupHeader> {
  let header: BackupHeader | undefined
  let loader: StoreLoader | undefined
  let total = 0
  let done = 0
  let isEnded = false
  try {
    for await (const line of lines) {
      if (isEnded) throw new BackupFormatError('the content is no backup: something follows its end')
      if (loader === undefined) {
        header = decodeHeader(line)
        loader = new StoreLoader(path, header.schemaVersion, header.tables)
        total = header.tables.reduce((sum, { rows }) => sum + rows, 0)
        continue
      }
      const decoded = decodeLine(line)
      if ('values' in decoded) {
        loader.insert(decoded)
        done += 1
        onProgress(done, total)
      } else {
        if (decoded.rows !== done) throw new BackupFormatError('the content is no backup: rows are missing')
        isEnded = true
      }
    }
    if (header === undefined || loader === undefined || !isEnded) {
      throw new BackupFormatError('the content is no backup: its end is missing')
    }
    loader.finish()
    return header
  } finally {
    loader?.abandon()
  }
}
