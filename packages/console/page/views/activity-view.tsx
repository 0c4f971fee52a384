/** The audit log as it happens. */
import { useMemo, useState } from 'preact/hooks'
import { Icon } from '../parts/icons.tsx'
import { Identity, Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { useIsNarrow } from '../parts/use-is-narrow.ts'
import { UsePlot } from '../parts/use-plot.tsx'
import { VirtualTable } from '../parts/virtual-table.tsx'
import type { AuditEvent } from '../state/activity.ts'
import { useConsole } from '../state/console.ts'
import { formatCount, formatTime } from '../text/format.ts'

const ROW_PX = 34
const NARROW_ROW_PX = 60

const COLUMNS = [
  ['time', 'Time'],
  ['status', 'Status'],
  ['path', 'Path'],
  ['identity', 'Identity'],
  ['took', 'Took'],
] as const

type Shown = 'all' | 'refused' | 'changes'

const CHANGE = /^\/v1\/key\/(?:create|import|delete|cancel-deletion|enable|disable)\//

function isShown({ path, status }: AuditEvent, shown: Shown): boolean {
  if (shown === 'refused') return status >= 400
  return shown === 'all' || CHANGE.test(path)
}

export function ActivityView() {
  const { activity } = useConsole()
  const [filter, setFilter] = useState('')
  const [shown, setShown] = useState<Shown>('all')
  const [paused, setPaused] = useState<readonly AuditEvent[]>()
  const isNarrow = useIsNarrow()
  const version = activity.version.value
  const events = useMemo(() => {
    const wanted = filter.trim()
    const source = paused ?? activity.events
    const found = source.filter(
      (event) =>
        isShown(event, shown) &&
        (wanted === '' || event.path.includes(wanted) || event.identity.startsWith(wanted)),
    )
    return found.reverse()
  }, [paused ?? version, filter, shown])
  const state = activity.stream.value

  return (
    <section aria-labelledby="activity-title">
      <header class="pane-head">
        <h2 id="activity-title">Activity</h2>
        <div class="actions">
          <button
            type="button"
            aria-pressed={paused !== undefined}
            onClick={() => setPaused(paused === undefined ? [...activity.events] : undefined)}
          >
            <Icon name={paused === undefined ? 'pause' : 'play'} />
            {paused === undefined ? 'Pause' : 'Go on'}
          </button>
        </div>
      </header>
      {'reason' in state && <Problem>{state.reason}</Problem>}
      <UsePlot activity={activity} />
      <search class="filters">
        <input
          type="search"
          aria-label="Filter by path or identity"
          placeholder="Filter by path or identity"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <select
          aria-label="Kind of events"
          value={shown}
          onChange={(event) => setShown(event.currentTarget.value as Shown)}
        >
          <option value="all">all requests</option>
          <option value="changes">changes of keys</option>
          <option value="refused">refused and failed</option>
        </select>
        <span class="quiet">
          {formatCount(activity.total)} since the login, the last {formatCount(events.length)} shown
        </span>
      </search>
      <VirtualTable
        label="Audit events"
        class="events"
        head={COLUMNS.map(([column, label]) => (
          <th key={column} class={`cell-${column}`} scope="col">
            {label}
          </th>
        ))}
        items={events}
        keyOf={({ id }) => id}
        rowHeight={isNarrow ? NARROW_ROW_PX : ROW_PX}
        render={(event, tabIndex) => <EventCells event={event} tabIndex={tabIndex} onFilter={setFilter} />}
      />
      {events.length === 0 && (
        <p class="empty">No event yet. Each request to the key server will stand here.</p>
      )}
    </section>
  )
}

interface EventCellsProps {
  readonly event: AuditEvent
  readonly tabIndex: 0 | -1
  readonly onFilter: (path: string) => void
}

function EventCells({ event, tabIndex, onFilter }: EventCellsProps) {
  const tone = event.status < 400 ? 'good' : event.status < 500 ? 'warn' : 'bad'
  return (
    <>
      <td class="cell-time">{formatTime(event.time).slice(11)}</td>
      <td class="cell-status">
        <span class={`tone-${tone}`}>{event.status}</span>
      </td>
      <td class="cell-path">
        <button type="button" class="plain" tabIndex={tabIndex} onClick={() => onFilter(event.path)}>
          <Name text={event.path} />
        </button>
      </td>
      <td class="cell-identity">
        <Identity text={event.identity} />
      </td>
      <td class="cell-took quiet">{event.ms.toFixed(1)} ms</td>
    </>
  )
}
