/** Times, sizes and numbers as people read them. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function formatBytes(bytes: number): string {
  if (bytes === 1) return '1 byte'
  const step = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  const amount = bytes / 1024 ** step
  const digits = step === 0 || amount >= 100 ? 0 : 1
  return `${amount.toFixed(digits)} ${UNITS[step]}`
}

export function formatCount(count: number): string {
  return count.toLocaleString('en')
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

const STEPS: readonly (readonly [seconds: number, unit: string])[] = [
  [365 * 86_400, 'y'],
  [30 * 86_400, 'mo'],
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
]

/** `3 d`, in whole units, downwards; `now` below a minute. */
export function formatSpan(ms: number): string {
  const seconds = Math.abs(ms) / 1000
  const step = STEPS.find(([size]) => seconds >= size)
  return step === undefined ? 'now' : `${Math.floor(seconds / step[0])} ${step[1]}`
}

export function formatAge(time: number, now: number): string {
  const span = formatSpan(now - time)
  if (span === 'now') return 'just now'
  return time > now ? `in ${span}` : `${span} ago`
}

/** To the second, in the visitor's time zone. */
export function formatTime(time: number): string {
  const date = new Date(time)
  const pad = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
}

/** Keys from before KES kept the time say so with the first moment of one calendar or the other. */
export function parseTime(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const time = Date.parse(text)
  return Number.isNaN(time) || time <= 0 ? undefined : time
}

const IDENTITY_SHOWN = 12

/** The start of an identity, enough to tell those of one server apart. */
export function shortIdentity(identity: string): string {
  return identity.length <= IDENTITY_SHOWN + 1 ? identity : `${identity.slice(0, IDENTITY_SHOWN)}…`
}
