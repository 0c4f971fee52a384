/** What is said of many measurements in a few numbers. */

/**
 * The value that the share `q` of all values does not exceed, by the nearest rank from below: no value is made up
 * between two measured ones.
 *
 * @param sorted - ascending, at least one.
 * @param q - from 0 to 1.
 */
export function percentile(sorted: ArrayLike<number>, q: number): number {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`${q} is not from 0 to 1`)
  const value = sorted[Math.floor(q * (sorted.length - 1))]
  if (value === undefined) throw new RangeError('a percentile of no values')
  return value
}

export interface Summary {
  /** Of an even number of values, the mean of the two in the middle. */
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @param values - in any order, at least one. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  const below = percentile(sorted, 0.5)
  const above = sorted[Math.floor(sorted.length / 2)] ?? below
  return { median: (below + above) / 2, min: percentile(sorted, 0), max: percentile(sorted, 1) }
}

export interface Point {
  readonly x: number
  readonly y: number
}

/**
 * How much y rises for each unit of x on the line that fits the points best, by least squares.
 *
 * @param points - at least two of different x.
 */
export function slope(points: readonly Point[]): number {
  const meanX = mean(points.map(({ x }) => x))
  const meanY = mean(points.map(({ y }) => y))
  let covariance = 0
  let variance = 0
  for (const { x, y } of points) {
    covariance += (x - meanX) * (y - meanY)
    variance += (x - meanX) ** 2
  }
  if (!(variance > 0)) throw new RangeError('a slope needs points of different x')
  return covariance / variance
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
