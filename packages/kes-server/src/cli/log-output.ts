/** Where the logs of a server go: lines for people on a terminal, JSON for everything else. */
import pino, { type DestinationStream } from 'pino'
import { PinoPretty } from 'pino-pretty'

export interface LogOutput {
  readonly destination: DestinationStream
  /** Writes what is still held back. */
  readonly flush: () => void
}

/**
 * @param isHeld - gather lines and write them together, a little later. For the audit log, which has a line for
 *   each request; an error is worth a write of its own.
 */
export function logOutput(
  descriptor: 1 | 2,
  isTerminal: boolean,
  { isHeld }: { isHeld: boolean },
): LogOutput {
  if (isTerminal) {
    const destination = PinoPretty({
      destination: descriptor,
      sync: true,
      colorize: true,
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
      customLevels: 'debug:20,info:30,warn:40,error:50',
    })
    return { destination, flush: () => undefined }
  }
  const destination = pino.destination({
    dest: descriptor,
    sync: !isHeld,
    ...(isHeld ? { minLength: 4096, periodicFlush: 100 } : {}),
  })
  // A reader that has gone (`kes server | head`) must not end the server.
  destination.on('error', () => undefined)
  return {
    destination,
    flush() {
      try {
        destination.flushSync()
      } catch {
        // Not opened yet or already gone: there is nobody left to write to.
      }
    },
  }
}
