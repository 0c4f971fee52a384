/**
 * Durations as Go writes them: `1h30m`, `300ms`, `-1.5s`.
 *
 * In memory a duration is a bigint of nanoseconds, Go's own unit and range (a signed 64-bit integer), because
 * some of KES's messages print it to the nanosecond. Formats: the Go documentation of `time.ParseDuration` and
 * `time.Duration.String`.
 */

/** Nanoseconds, -2^63 to 2^63 - 1. */
export type Duration = bigint

const MICROSECOND = 1_000n
const MILLISECOND = 1_000_000n
export const SECOND = 1_000_000_000n
export const MINUTE = 60n * SECOND
const HOUR = 60n * MINUTE

/** Both signs for micro, U+00B5 and U+03BC, are in use. */
const UNITS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', MICROSECOND],
  ['\u00b5s', MICROSECOND],
  ['\u03bcs', MICROSECOND],
  ['ms', MILLISECOND],
  ['s', SECOND],
  ['m', MINUTE],
  ['h', HOUR],
])

const TERM = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y
const MAGNITUDE_MAX = 2n ** 63n

/** `undefined` if the text is no duration. Only `0` needs no unit. */
export function parseDuration(text: string): Duration | undefined {
  const isNegative = text.startsWith('-')
  const unsigned = text.replace(/^[-+]/, '')
  if (unsigned === '0') return 0n
  if (unsigned === '') return undefined

  let sum = 0n
  TERM.lastIndex = 0
  while (TERM.lastIndex < unsigned.length) {
    const term = TERM.exec(unsigned)
    const unit = UNITS.get(term?.[3] ?? '')
    if (term === null || unit === undefined) return undefined
    const [whole = '', fraction = ''] = [term[1], term[2]]
    if (whole === '' && fraction === '') return undefined
    sum += BigInt(whole || '0') * unit
    sum += (BigInt(fraction || '0') * unit) / 10n ** BigInt(fraction.length)
    if (sum > MAGNITUDE_MAX) return undefined
  }
  if (sum === MAGNITUDE_MAX && !isNegative) return undefined
  return isNegative ? -sum : sum
}

/** `5m0s`, `1.5s`, `300ms`, `0s`: hours at most, and below a second the largest unit that leaves no zero. */
export function formatDuration(duration: Duration): string {
  if (duration === 0n) return '0s'
  const sign = duration < 0n ? '-' : ''
  const total = duration < 0n ? -duration : duration
  if (total < MICROSECOND) return `${sign}${total}ns`
  if (total < MILLISECOND) return `${sign}${decimal(total, MICROSECOND)}\u00b5s`
  if (total < SECOND) return `${sign}${decimal(total, MILLISECOND)}ms`

  const hours = total / HOUR
  const minutes = (total % HOUR) / MINUTE
  const seconds = `${decimal(total % MINUTE, SECOND)}s`
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0n ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`
}

/** `total / unit` with as many decimals as it needs; `unit` is a power of ten. */
function decimal(total: bigint, unit: bigint): string {
  const digits = unit.toString().length - 1
  const fraction = (total % unit).toString().padStart(digits, '0').replace(/0+$/, '')
  return fraction === '' ? `${total / unit}` : `${total / unit}.${fraction}`
}

/** For timers; fractions are kept. */
export function toMilliseconds(duration: Duration): number {
  return Number(duration) / 1e6
}
