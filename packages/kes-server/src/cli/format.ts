/** Times, sizes and tables as KES's command line prints them. */

/** `2026-11-24 01:50:57` for a time in RFC 3339 that is in UTC, as servers send it. */
export function formatUtcTime(time: string): string {
  return time.slice(0, 19).replace('T', ' ')
}

export function formatLocalTime(time: string): string {
  const date = new Date(time)
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ${formatClock(date)}`
}

/** `01:50:57`, local time. */
export function formatClock(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':')
}

/** `2 days 3 hours`, `3 hours`, `9 minutes`, `0 seconds`. */
export function formatUptime(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  if (days > 0) return `${days} days ${hours % 24} hours`
  if (hours > 0) return `${hours} hours`
  return minutes > 0 ? `${minutes} minutes` : `${Math.floor(seconds)} seconds`
}

/** Decimal units: `524.3KB`, `5.1MB`. */
export function formatBytes(bytes: number): string {
  const units = ['KB', 'MB', 'GB', 'TB']
  if (bytes < 1000) return `${bytes}B`
  let value = bytes / 1000
  let unit = 0
  for (; value >= 999.95 && unit < units.length - 1; unit++) value /= 1000
  return `${value.toFixed(1)}${units[unit]}`
}

/** To three digits in the largest unit that leaves no zero: `12µs`, `1.04ms`, `2.5s`. */
export function formatLatency(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s'
  const units = [
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const
  for (const [unit, size] of units) {
    if (nanoseconds >= size) return `${Number((nanoseconds / size).toPrecision(3))}${unit}`
  }
  return `${nanoseconds}ns`
}

/** Lines with columns three spaces apart. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
      .join('')
      .trimEnd(),
  )
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
