/** Which process listens on a port, as Linux tells it; and whether the port could be had. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Address } from '../../config/address.ts'

export interface Listening {
  readonly pid: number
  /** The name of its program. */
  readonly program: string
}

/** State of a socket in `/proc/net/tcp`. */
const LISTEN = '0A'

/** @returns undefined if nobody listens, or it is hidden from this user. */
export function findListener(port: number): Listening | undefined {
  const inodes = ['tcp', 'tcp6'].flatMap((table) => inodesOf(table, port))
  if (inodes.length === 0) return undefined
  const names = new Set(inodes.map((inode) => `socket:[${inode}]`))
  for (const name of readOr([], () => readdirSync('/proc'))) {
    if (!/^\d+$/.test(name)) continue
    const folder = `/proc/${name}/fd`
    const holds = readOr([], () => readdirSync(folder)).some((fd) =>
      names.has(readOr('', () => readlinkSync(`${folder}/${fd}`))),
    )
    if (holds)
      return {
        pid: Number(name),
        program: readOr('', () => readFileSync(`/proc/${name}/comm`, 'utf8')).trim(),
      }
  }
  return undefined
}

/** A line: `sl local_address rem_address st … inode`, the address as `0100007F:1CCD`. */
function inodesOf(table: string, port: number): string[] {
  const text = readOr('', () => readFileSync(`/proc/net/${table}`, 'utf8'))
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && state === LISTEN)
    .map((fields) => fields[9] ?? '')
}

/** Processes come and go, those of other users hide, and other systems have no `/proc`. */
function readOr<T>(fallback: T, read: () => T): T {
  try {
    return read()
  } catch {
    return fallback
  }
}

/** @returns why not: the code of the error; undefined if it could be listened there. */
export function tryToListen({ host, port }: Address): Promise<string | undefined> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ port, exclusive: true, ...(host === '' ? {} : { host }) }, () =>
      server.close(() => resolve(undefined)),
    )
  })
}
