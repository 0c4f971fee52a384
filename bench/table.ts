/** Text tables: the first column to the left, numbers to the right. */

export type Row = readonly string[]

/** @param rows - each as long as `header`. */
export function formatTable(header: Row, rows: readonly Row[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: Row): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return `${[line(header), rule, ...rows.map(line)].join('\n')}\n`
}

/** Three digits, or as many as stand before the point: `0.71`, `12.3`, `1234`. */
export function formatNumber(value: number): string {
  const magnitude = Math.abs(value)
  // The bounds are where rounding makes a digit more.
  if (magnitude >= 99.95 || value === 0) return value.toFixed(0)
  if (magnitude >= 9.995) return value.toFixed(1)
  return value.toFixed(magnitude >= 0.9995 ? 2 : 3)
}

/** Megabytes of 10^6 bytes. */
export function formatMegabytes(bytes: number): string {
  return formatNumber(bytes / 1e6)
}
