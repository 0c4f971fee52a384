/** Uses of keys each second over the last two minutes: allowed ones, and on top of them the refused. */
import { useEffect, useState } from 'preact/hooks'
import { type Activity, SECONDS_SHOWN } from '../state/activity.ts'
import { formatCount } from '../text/format.ts'

const HEIGHT = 40

export function UsePlot({ activity }: { readonly activity: Activity }) {
  const [time, setTime] = useState(Date.now())
  useEffect(() => {
    const timer = setInterval(() => setTime(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  const seconds = activity.seconds(time)
  const most = Math.max(...seconds.map(({ uses, refusedUses }) => uses + refusedUses))
  const last = seconds.at(-1)
  const uses = last?.uses ?? 0
  const refused = last?.refusedUses ?? 0
  const scale = HEIGHT / Math.max(1, most)
  const bars = (from: (index: number) => number, to: (index: number) => number) =>
    seconds
      .map((_, index) => {
        const [low, high] = [from(index) * scale, to(index) * scale]
        return high > low ? `M${index} ${HEIGHT - low}V${HEIGHT - high}h.8V${HEIGHT - low}z` : ''
      })
      .join('')
  const usesOf = (index: number) => seconds[index]?.uses ?? 0
  const allOf = (index: number) => usesOf(index) + (seconds[index]?.refusedUses ?? 0)
  return (
    <figure class="plot">
      <svg
        viewBox={`0 0 ${SECONDS_SHOWN} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Uses of keys per second, last two minutes: ${uses} now, ${most} at most`}
      >
        <path class="plot-uses" d={bars(() => 0, usesOf)} />
        <path class="plot-refused" d={bars(usesOf, allOf)} />
      </svg>
      <figcaption>
        <span>
          <b>{formatCount(uses)}</b> uses/s
        </span>
        <span class={refused > 0 ? 'tone-bad' : 'quiet'}>
          <b>{formatCount(refused)}</b> refused/s
        </span>
        <span class="quiet">peak {formatCount(most)}/s · 2 min</span>
      </figcaption>
    </figure>
  )
}
