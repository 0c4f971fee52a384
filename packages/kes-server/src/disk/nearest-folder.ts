import { existsSync } from 'node:fs'
import { dirname } from 'node:path'

/** The path itself, or the nearest one above it that is there and that this user can see. */
export function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path))
}
