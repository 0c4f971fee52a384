/**
 * Waiting periods as people write them: whole numbers of days of 24 hours, hours, minutes, seconds and milliseconds,
 * the larger before the smaller, such as `7d`, `36h` or `1d12h`.
 */

/** Ten years. Whoever waits longer has made a mistake of typing. */
export const PERIOD_MS_MAX = 3650 * 86_400_000

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]

const PERIOD = new RegExp(`^${UNITS.map(([name]) => `(?:([0-9]{1,15})${name})?`).join('')}$`)

/** @returns milliseconds, 0 to {@link PERIOD_MS_MAX}; undefined if `text` is no period. Only `0` needs no unit. */
export function parsePeriod(text: string): number | undefined {
  if (text === '0') return 0
  const counts = text === '' ? null : PERIOD.exec(text)
  if (counts === null) return undefined
  let sum = 0
  for (const [index, [, ms]] of UNITS.entries()) sum += Number(counts[index + 1] ?? 0) * ms
  return sum <= PERIOD_MS_MAX ? sum : undefined
}

/** The shortest text that {@link parsePeriod} reads as this. @param ms - a whole number, 0 or more. */
export function formatPeriod(ms: number): string {
  let left = ms
  let text = ''
  for (const [name, unit] of UNITS) {
    const count = Math.floor(left / unit)
    left -= count * unit
    if (count > 0) text += `${count}${name}`
  }
  return text === '' ? '0s' : text
}
