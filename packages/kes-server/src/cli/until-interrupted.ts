/** For commands that print until Ctrl-C, which is their usual end. */
import type { Io } from './io.ts'

/** @throws KesConnectionError if the server ends what is printed. */
export async function untilInterrupted(
  { interruption }: Io,
  endpoint: string,
  print: () => Promise<void>,
): Promise<void> {
  try {
    await print()
  } catch (error) {
    if (!interruption.aborted) throw error
  }
  if (interruption.aborted) return
  const { KesConnectionError } = await import('@latchkey/kms-client')
  throw new KesConnectionError(endpoint, 'the server ended the stream')
}
