/**
 * Points in time as KES writes them: RFC 3339 with up to nine fractional digits, the zeros at the end
 * removed. KES's own are in UTC; keys stored by its early versions may carry another offset, which stays.
 */

/** As in Protocol Buffers: seconds since 1970-01-01T00:00:00Z, negative before, plus nanoseconds. */
export interface Timestamp {
  readonly seconds: bigint // From year 1 to year 9999.
  readonly nanos: number // 0 to 999 999 999, also before 1970.
}

/** Go's zero time, which KES shows for keys stored without one. */
export const YEAR_ONE = '0001-01-01T00:00:00Z'

const SECONDS_MIN = -62_135_596_800n // 0001-01-01T00:00:00Z
const SECONDS_MAX = 253_402_300_799n // 9999-12-31T23:59:59Z
const NANOS_MAX = 999_999_999

const RFC_3339 = new RegExp(
  [
    /^(?<date>\d{4}-\d{2}-\d{2})T(?<time>(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)/, // Go knows no leap second.
    /(?:\.(?<fraction>\d+))?/,
    /(?:Z|(?<sign>[+-])(?<hours>[01]\d|2[0-3]):(?<minutes>[0-5]\d))$/,
  ]
    .map((part) => part.source)
    .join(''),
)

interface Parts extends Timestamp {
  readonly clock: string // Date and time of day as written, without fraction and offset.
  readonly offset: string // 'Z' or like '+02:00'.
}

function split(text: string): Parts | undefined {
  const groups = RFC_3339.exec(text)?.groups
  if (groups === undefined) return undefined
  const { date = '', time = '', fraction = '', sign, hours = '00', minutes = '00' } = groups
  const clock = `${date}T${time}`
  const clockMs = Date.parse(`${clock}Z`)
  // JavaScript takes February 30th for March 1st or 2nd.
  if (Number.isNaN(clockMs) || !new Date(clockMs).toISOString().startsWith(clock)) return undefined
  const offsetSeconds = (sign === '-' ? -60 : 60) * (Number(hours) * 60 + Number(minutes))
  const seconds = BigInt(clockMs / 1000 - offsetSeconds)
  if (seconds < SECONDS_MIN || seconds > SECONDS_MAX) return undefined
  const nanos = Number(fraction.slice(0, 9).padEnd(9, '0'))
  return { seconds, nanos, clock, offset: offsetSeconds === 0 ? 'Z' : `${sign}${hours}:${minutes}` }
}

/**
 * Reads RFC 3339 as strictly as Go does: upper-case `T` and `Z`, two digits everywhere, `.` before the
 * fraction; digits beyond nanoseconds are dropped.
 *
 * @returns undefined if `text` is something else, names a day that doesn't exist or lies outside of years 1
 *   to 9999.
 */
export function parseTimestamp(text: string): Timestamp | undefined {
  const parts = split(text)
  return parts && { seconds: parts.seconds, nanos: parts.nanos }
}

/** `text` as KES would write it again, at the same offset; undefined as for {@link parseTimestamp}. */
export function canonicalTimestamp(text: string): string | undefined {
  const parts = split(text)
  return parts && `${parts.clock}${formatFraction(parts.nanos)}${parts.offset}`
}

/** @throws RangeError outside of years 1 to 9999, or if `nanos` is no fraction of a second. */
export function formatTimestamp({ seconds, nanos }: Timestamp): string {
  if (seconds < SECONDS_MIN || seconds > SECONDS_MAX)
    throw new RangeError('timestamp is not in years 1 to 9999')
  if (!Number.isInteger(nanos) || nanos < 0 || nanos > NANOS_MAX) {
    throw new RangeError('timestamp has nanoseconds outside of its second')
  }
  const clock = new Date(Number(seconds) * 1000).toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)
  return `${clock}${formatFraction(nanos)}Z`
}

function formatFraction(nanos: number): string {
  return nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`
}

/** The present time in UTC, to the millisecond. */
export function now(): string {
  return formatMilliseconds(Date.now())
}

/** @param ms - a whole number of milliseconds since 1970, not negative. */
export function formatMilliseconds(ms: number): string {
  return formatTimestamp({ seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 })
}
