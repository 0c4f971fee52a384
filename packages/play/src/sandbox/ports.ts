/** Ports that are free now. Nothing reserves them: who listens first has them. */
import { createServer } from 'node:net'

const PORTS_TRIED = 100

export interface PortChoice {
  /** The visitor's own choice: it must be free. */
  readonly wanted: number | undefined
  readonly usual: number
  /** The option that chooses it, for the error. */
  readonly option: string
}

/** @returns a port for each choice, no two the same: the one wanted, or the usual one, or the next that is free. */
export async function choosePorts(host: string, choices: readonly PortChoice[]): Promise<number[]> {
  const chosen: number[] = []
  for (const choice of choices) chosen.push(await choosePort(host, choice, chosen))
  return chosen
}

async function choosePort(
  host: string,
  { wanted, usual, option }: PortChoice,
  chosen: readonly number[],
): Promise<number> {
  if (wanted !== undefined) {
    if (chosen.includes(wanted) || !(await isFree(host, wanted))) {
      throw new Error(`port ${wanted} is taken: choose another one with ${option}`)
    }
    return wanted
  }
  for (let port = usual; port < usual + PORTS_TRIED; port += 1) {
    if (!chosen.includes(port) && (await isFree(host, port))) return port
  }
  throw new Error(`no port from ${usual} to ${usual + PORTS_TRIED - 1} is free: choose one with ${option}`)
}

/**
 * Whether a program has ended because another one had its address, be it for a moment: a look at whether a port is free
 * takes it, too.
 *
 * @param lastLines - what the program has printed, of ours.
 */
export function hasFoundAddressTaken(lastLines: readonly string[]): boolean {
  return lastLines.some((line) => /\baddress\b.*\bin use\b|\banother program listens there\b/.test(line))
}

/** @throws Error if no program could listen there. */
function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else
        reject(new Error(`nothing can listen on port ${port} of ${host}: ${error.message}`, { cause: error }))
    })
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
