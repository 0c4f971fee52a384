/** Where the logs of a server go: lines for people on a terminal, JSON for everything else. */
import pino, { type DestinationStream } from 'pino'
import { withoutControls } from './without-controls.ts'

/** Lines that nobody reads wait in memory up to so many bytes; further ones are dropped, and counted. */
const WAITING_BYTES_MAX = { stdout: 64 * 1024 * 1024, stderr: 4 * 1024 * 1024 } as const

export interface LogOutput {
  readonly destination: DestinationStream
  /** How many lines were dropped so far, because the reader of the stream has stopped reading. */
  readonly droppedLines: () => number
  /** Writes what is still held back, if anybody reads it. */
  readonly flush: () => void
}

/**
 * A stream of the process as a log. A reader that has stopped, or gone, never holds up the server.
 *
 * @param isHeld - gather lines and write them together, a little later. For the audit log, which has a line for
 *   each request; an error is worth a write of its own.
 */
export async function logOutput(
  stream: 'stdout' | 'stderr',
  isTerminal: boolean,
  { isHeld }: { isHeld: boolean },
): Promise<LogOutput> {
  const descriptor = stream === 'stdout' ? 1 : 2
  if (isTerminal) {
    const { PinoPretty } = await import('pino-pretty')
    const destination = PinoPretty({
      destination: descriptor,
      sync: true,
      colorize: true,
      translateTime: 'SYS:HH:MM:ss.l',
      hideObject: true,
      messageFormat: (line) => withoutControls(describeLine(line)),
    })
    return { destination, droppedLines: () => 0, flush: () => undefined }
  }
  const destination = pino.destination({
    dest: descriptor,
    sync: false,
    maxLength: WAITING_BYTES_MAX[stream],
    ...(isHeld ? { minLength: 4096, periodicFlush: 100 } : {}),
  })
  let dropped = 0
  destination.on('drop', () => {
    dropped += 1
  })
  // A reader that has gone (`kes server | head`) must not end the server.
  destination.on('error', () => undefined)
  return {
    destination,
    droppedLines: () => dropped,
    flush() {
      if (dropped > 0) return
      try {
        destination.flushSync()
      } catch {
        // Not opened yet or already gone: there is nobody left to write to.
      }
    },
  }
}

/** A record of the logs, as pino hands it on. */
interface Line {
  readonly msg?: string
  readonly req?: {
    readonly method: string
    readonly path: string
    readonly ip: string
    readonly identity: string
    readonly proxy?: string
  }
  readonly res?: { readonly code: number; readonly time: string }
}

const SHOWN_IDENTITY_CHARACTERS = 12

/** What happened, and then the request: `secret key 'a' created  PUT /v1/key/create/a 200 1.2ms 127.0.0.1 ab12…`. */
function describeLine({ msg = '', req, res }: Line): string {
  if (req === undefined) return msg
  const proxy = req.proxy === undefined ? '' : ` via ${shortened(req.proxy)}`
  const outcome = res === undefined ? '' : ` ${res.code} ${res.time}`
  return `${msg}  ${req.method} ${req.path}${outcome} ${req.ip} ${shortened(req.identity)}${proxy}`
}

function shortened(identity: string): string {
  return identity.length > SHOWN_IDENTITY_CHARACTERS
    ? `${identity.slice(0, SHOWN_IDENTITY_CHARACTERS)}…`
    : identity
}
