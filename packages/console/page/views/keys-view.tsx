/** All keys, and beside them the one that the address names. */
import { useMemo, useState } from 'preact/hooks'
import { Icon } from '../parts/icons.tsx'
import { Identity, Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Age } from '../parts/time.tsx'
import { useIsNarrow } from '../parts/use-is-narrow.ts'
import { UsePlot } from '../parts/use-plot.tsx'
import { VirtualTable } from '../parts/virtual-table.tsx'
import { useConsole } from '../state/console.ts'
import type { KeyRow } from '../state/key-table.ts'
import { route, routeTo } from '../state/route.ts'
import { counted, formatCount } from '../text/format.ts'
import { CreateKeyDialog } from './create-key-dialog.tsx'
import { ImportKeyDialog } from './import-key-dialog.tsx'
import { KeyDetail } from './key-detail.tsx'
import { compareBy, type SortColumn } from './key-order.ts'

const ROW_PX = 44
const NARROW_ROW_PX = 66
const COLUMNS: readonly (readonly [SortColumn, string])[] = [
  ['name', 'Name'],
  ['state', 'State'],
  ['age', 'Age'],
  ['use', 'Last use'],
  ['creator', 'Creator'],
]
const STATES = ['enabled', 'disabled', 'pending', 'erased', 'damaged'] as const

export function KeysView() {
  const { activity } = useConsole()
  const [name] = route.value.names
  const [dialog, setDialog] = useState<'create' | 'import'>()
  const close = () => setDialog(undefined)
  return (
    <div class={name === undefined ? 'split' : 'split has-detail'}>
      <section class="list-pane" aria-labelledby="keys-title">
        <header class="pane-head">
          <h2 id="keys-title">Keys</h2>
          <div class="actions">
            <button type="button" onClick={() => setDialog('import')}>
              <Icon name="import" />
              Import
            </button>
            <button type="button" class="primary" onClick={() => setDialog('create')}>
              <Icon name="plus" />
              Create key
            </button>
          </div>
        </header>
        {activity.stream.value.kind === 'open' && <UsePlot activity={activity} />}
        <KeyTableView current={name} />
      </section>
      {name !== undefined && <KeyDetail key={name} name={name} />}
      {dialog === 'create' && <CreateKeyDialog onClose={close} />}
      {dialog === 'import' && <ImportKeyDialog onClose={close} />}
    </div>
  )
}

function KeyTableView({ current }: { readonly current: string | undefined }) {
  const { keys } = useConsole()
  const [filter, setFilter] = useState('')
  const [state, setState] = useState('')
  const [sort, setSort] = useState<SortColumn>('name')
  const isNarrow = useIsNarrow()
  const version = keys.version.value
  const rows = useMemo(() => {
    const wanted = filter.trim().toLowerCase()
    const found: KeyRow[] = []
    for (const row of keys.rows()) {
      if (state !== '' && row.state !== state) continue
      if (wanted === '' || row.name.toLowerCase().includes(wanted)) found.push(row)
    }
    return found.sort(compareBy(sort))
  }, [version, filter, state, sort])
  // Those of this session, which the server does not list any more.
  const erased = rows.filter((row) => row.state === 'erased').length

  return (
    <>
      <search class="filters">
        <input
          type="search"
          aria-label="Filter by name"
          placeholder="Filter by name"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
        <select
          aria-label="Filter by state"
          value={state}
          onChange={(event) => setState(event.currentTarget.value)}
        >
          <option value="">all states</option>
          {STATES.map((each) => (
            <option key={each} value={each}>
              {each === 'pending' ? 'pending deletion' : each}
            </option>
          ))}
        </select>
        <span class="quiet" role="status">
          {counted(rows.length - erased, 'key')}
          {erased > 0 && `, ${formatCount(erased)} erased`}
        </span>
        {keys.watch.value.kind === 'refused' && (
          <button type="button" onClick={() => void keys.refresh()}>
            <Icon name="refresh" />
            Refresh
          </button>
        )}
      </search>
      {keys.problem.value !== undefined && <Problem>{keys.problem.value}</Problem>}
      <VirtualTable
        label="Keys"
        class="keys"
        head={COLUMNS.map(([column, label]) => (
          <SortHeader key={column} column={column} label={label} sort={sort} onSort={setSort} />
        ))}
        items={rows}
        keyOf={({ name }) => name}
        rowHeight={isNarrow ? NARROW_ROW_PX : ROW_PX}
        isCurrent={({ name }) => name === current}
        render={(row, tabIndex) => (
          <KeyCells row={row} tabIndex={tabIndex} isCurrent={row.name === current} />
        )}
      />
      {rows.length === 0 && keys.isListed.value && <NoRows filter={filter.trim()} state={state} />}
    </>
  )
}

/** The server lists no erased keys, but the journal has their names. */
function NoRows({ filter, state }: { readonly filter: string; readonly state: string }) {
  if (filter === '' && state === '') {
    return <p class="empty">There is no key yet. Create one: it never leaves the server.</p>
  }
  return (
    <p class="empty">
      No key matches.
      {filter !== '' && (
        <>
          {' '}
          If one of this name was erased, <a href={routeTo('keys', [filter])}>its history</a> is there.
        </>
      )}
    </p>
  )
}

interface SortHeaderProps {
  readonly column: SortColumn
  readonly label: string
  readonly sort: SortColumn
  readonly onSort: (column: SortColumn) => void
}

function SortHeader({ column, label, sort, onSort }: SortHeaderProps) {
  const isSorted = column === sort
  return (
    <th
      class={`cell-${column}`}
      scope="col"
      aria-sort={isSorted ? (column === 'use' || column === 'age' ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" class="plain" onClick={() => onSort(column)}>
        {label}
        {isSorted && <Icon name="down" />}
      </button>
    </th>
  )
}

interface KeyCellsProps {
  readonly row: KeyRow
  readonly tabIndex: 0 | -1
  readonly isCurrent: boolean
}

function KeyCells({ row, tabIndex, isCurrent }: KeyCellsProps) {
  return (
    <>
      <td class="cell-name">
        <a
          href={routeTo('keys', [row.name])}
          tabIndex={tabIndex}
          aria-current={isCurrent ? 'true' : undefined}
        >
          <Name text={row.name} />
        </a>
      </td>
      <td class="cell-state">
        <StateBadge state={row.state} />
      </td>
      <td class="cell-age">
        <Age time={row.createdAt} />
      </td>
      <td class="cell-use">
        <Age time={row.lastUsedAt} none="never" />
      </td>
      <td class="cell-creator">
        <Identity text={row.createdBy} />
      </td>
    </>
  )
}
