/** Whether a server that ran for a while keeps what it has used: what a soak's samples say of growth. */
import { slope } from './statistics.ts'

/** One look at the server, taken while nobody asks it anything: what is open then, nobody needs. */
export interface Sample {
  /** Since the start of the soak. */
  readonly seconds: number
  /** The mean over the load before. */
  readonly residentBytes: number
  readonly heapBytes: number
  readonly openFiles: number
  readonly threads: number
  readonly activeRequests: number
}

export interface Growth {
  /** On the line through the second half of the samples. */
  readonly residentBytesPerMinute: number
  readonly openFilesPerMinute: number
  /** How many more files are open at the end of that line than at its begin. */
  readonly openFilesRisen: number
  /** What the resident memory would rise by in half an hour, as a share of its mean. */
  readonly residentShareIn30Min: number
  /** Why the server fails the soak; empty if it passes. */
  readonly problems: readonly string[]
}

/** A file that happens to be open at one look and not at another is no leak. */
const OPEN_FILES_RISE_MAX = 2
const RESIDENT_SHARE_MAX = 0.1
/** Before that a rise of the memory says more about the warming up than about leaks. */
export const RESIDENT_SECONDS_MIN = 600
const HALF_HOUR_MINUTES = 30

/** What a good soak keeps to, in words. */
export const BOUNDS: readonly string[] = [
  `at most ${OPEN_FILES_RISE_MAX} more open files over the second half`,
  'no request active at rest',
  `after ${RESIDENT_SECONDS_MIN / 60} minutes or more: at most ${RESIDENT_SHARE_MAX * 100} % more resident memory in half an hour`,
]

/** @param samples - in order, at least four. */
export function judge(samples: readonly Sample[]): Growth {
  const half = samples.slice(Math.floor(samples.length / 2))
  const [first, last] = [half[0], half.at(-1)]
  if (first === undefined || last === undefined || half.length < 2) {
    throw new RangeError('a verdict needs at least four samples')
  }
  const perSecond = (value: (sample: Sample) => number): number =>
    slope(half.map((sample) => ({ x: sample.seconds, y: value(sample) })))
  const resident = perSecond(({ residentBytes }) => residentBytes)
  const files = perSecond(({ openFiles }) => openFiles)
  const meanResident = half.reduce((sum, { residentBytes }) => sum + residentBytes, 0) / half.length
  const growth = {
    residentBytesPerMinute: resident * 60,
    openFilesPerMinute: files * 60,
    openFilesRisen: files * (last.seconds - first.seconds),
    residentShareIn30Min: (resident * 60 * HALF_HOUR_MINUTES) / meanResident,
  }
  return { ...growth, problems: problemsOf(growth, last) }
}

function problemsOf(growth: Omit<Growth, 'problems'>, last: Sample): string[] {
  const problems: string[] = []
  if (growth.openFilesRisen > OPEN_FILES_RISE_MAX) {
    problems.push(`open files rose by ${growth.openFilesRisen.toFixed(1)}`)
  }
  if (last.activeRequests > 0) problems.push(`${last.activeRequests} requests never ended`)
  if (last.seconds >= RESIDENT_SECONDS_MIN && growth.residentShareIn30Min > RESIDENT_SHARE_MAX) {
    problems.push(
      `resident memory would rise by ${(growth.residentShareIn30Min * 100).toFixed(1)} % in half an hour`,
    )
  }
  return problems
}
