/** What the last run left behind is brought in order before anybody asks. */
import type Database from 'better-sqlite3'
import { DataDamagedError } from './errors.ts'
import { type FileFolder, readTail } from './file-folder.ts'
import { asIndexError } from './index-file.ts'
import type { ObjectIndex } from './object-index.ts'

/** Moves or removes what is in `incoming/`, and removes what was noted as superfluous. */
export async function sweep(folder: FileFolder, index: ObjectIndex, db: Database.Database): Promise<void> {
  for (const id of folder.incoming()) folder.sweep(id, await isInUse(folder, index, id))
  const garbage = index.garbage()
  for (const id of garbage) await folder.remove(id)
  try {
    db.transaction(() => index.dropGarbage(garbage)).immediate()
  } catch (error) {
    throw asIndexError(error)
  }
}

async function isInUse(folder: FileFolder, index: ObjectIndex, id: string): Promise<boolean> {
  if (index.namesFile(id)) return true
  // Rare enough for a look through all objects: a part whose upload was completed before it had been moved.
  return (await isPart(folder, id)) && index.isPartOfObject(id)
}

async function isPart(folder: FileFolder, id: string): Promise<boolean> {
  try {
    using file = folder.open(id)
    const { record } = await readTail(file)
    return record.kind === 'part'
  } catch (error) {
    if (error instanceof DataDamagedError) return false // Was being written, or is gone: nobody names it.
    throw error
  }
}
