/** Levels of the error and the audit log: a number, and the words by which the config file names it. */

export const DEBUG = -4
export const INFO = 0
export const WARN = 4
export const ERROR = 8
/** Above every level that is logged. */
export const OFF = ERROR + 1

const LEVELS: ReadonlyMap<string, number> = new Map([
  ['DEBUG', DEBUG],
  ['INFO', INFO],
  ['WARN', WARN],
  ['ERROR', ERROR],
])

/** A text that names no level; the message is KES's. */
export class LogLevelError extends Error {
  override readonly name = 'LogLevelError'
}

/**
 * Reads `DEBUG`, `INFO`, `WARN`, `ERROR`, one of them with `+<n>`, `ON` (INFO), `OFF`, or an integer, in any
 * case and with white space around.
 *
 * @throws {@link LogLevelError}
 */
export function parseLogLevel(text: string): number {
  const trimmed = text.trim()
  const upper = trimmed.toUpperCase()
  if (upper === 'ON') return INFO
  if (upper === 'OFF') return OFF
  for (const [name, level] of LEVELS) {
    if (upper === name) return level
    if (!upper.startsWith(name)) continue
    if (upper[name.length] !== '+') throw new LogLevelError(`kesconf: invalid log level '${trimmed}'`)
    const suffix = trimmed.slice(name.length + 1)
    return level + parseInteger(suffix, `kesconf: invalid log level suffix '${suffix}': `)
  }
  return parseInteger(trimmed, '')
}

/** `INFO`, `WARN+2`; an integer below DEBUG. `parseLogLevel` reads all of them. */
export function formatLogLevel(level: number): string {
  const below = [...LEVELS].toReversed().find(([, start]) => start <= level)
  if (below === undefined) return String(level)
  const [name, start] = below
  return level === start ? name : `${name}+${level - start}`
}

function parseInteger(text: string, prefix: string): number {
  const failed = `${prefix}strconv.Atoi: parsing ${JSON.stringify(text)}: `
  if (!/^[-+]?\d+$/.test(text)) throw new LogLevelError(`${failed}invalid syntax`)
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new LogLevelError(`${failed}value out of range`)
  return value === 0 ? 0 : value
}
