/** A moment, as its age; the whole of it in the tooltip. */
import { now } from '../state/clock.ts'
import { formatAge, formatTime } from '../text/format.ts'

export function Age({ time, none = '–' }: { readonly time: number | undefined; readonly none?: string }) {
  if (time === undefined) return <span class="quiet">{none}</span>
  return (
    <time dateTime={new Date(time).toISOString()} title={formatTime(time)}>
      {formatAge(time, now.value)}
    </time>
  )
}

export function Moment({ time, none = '–' }: { readonly time: number | undefined; readonly none?: string }) {
  if (time === undefined) return <span class="quiet">{none}</span>
  return (
    <time dateTime={new Date(time).toISOString()}>
      {formatTime(time)} <span class="quiet">({formatAge(time, now.value)})</span>
    </time>
  )
}
