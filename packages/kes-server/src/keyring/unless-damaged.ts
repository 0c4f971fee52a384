/** For those who go on without a record that is damaged. */
import { RecordDamagedError } from '../errors.ts'

/** @returns undefined where `read` finds a damaged record. */
export function unlessDamaged<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof RecordDamagedError) return undefined
    throw error
  }
}
