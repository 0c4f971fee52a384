/** Sizes of memory: `64MiB`, in powers of 1024. */

const UNITS: readonly (readonly [string, number])[] = [
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
  ['B', 1],
]

/** Bytes; `undefined` if the text is no size. A number without a unit is none, and neither is a fraction. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15}) ?([KMG]iB|B)$/.exec(text)
  const unit = UNITS.find(([name]) => name === match?.[2])
  if (match === null || unit === undefined) return undefined
  const bytes = Number(match[1]) * unit[1]
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** In the largest unit that needs no fraction. */
export function formatSize(bytes: number): string {
  for (const [name, unit] of UNITS) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`
  }
  return `${bytes}B`
}
