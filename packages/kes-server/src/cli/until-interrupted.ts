/** For commands that print until Ctrl-C, which is their usual end. */
import type { Io } from './io.ts'

export async function untilInterrupted({ interruption }: Io, print: () => Promise<void>): Promise<void> {
  try {
    await print()
  } catch (error) {
    if (!interruption.aborted) throw error
  }
}
