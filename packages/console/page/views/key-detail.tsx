/** One key: what is known of it, what can be done to it, and what was. */
import { useEffect, useRef, useState } from 'preact/hooks'
import {
  changeKey,
  type ErasureReceipt,
  erasureReceipt,
  type JournalEntry,
  keyHistory,
  type PlainChange,
} from '../net/key-server.ts'
import { useAction } from '../parts/action.ts'
import { Fact } from '../parts/fact.tsx'
import { Icon } from '../parts/icons.tsx'
import { useLoaded } from '../parts/loaded.ts'
import { Identity, Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { saveJson } from '../parts/save-file.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { Moment } from '../parts/time.tsx'
import { useFocusWhenAlone } from '../parts/use-focus-when-alone.ts'
import { useConsole } from '../state/console.ts'
import type { KeyRow } from '../state/key-table.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'
import { counted, parseTime } from '../text/format.ts'
import { EraseKeyDialog } from './erase-key-dialog.tsx'
import { KeyImpact } from './key-impact.tsx'

const DONE: Readonly<Record<PlainChange, string>> = {
  enable: 'is enabled',
  disable: 'is disabled: nothing is encrypted or decrypted with it',
  'cancel-deletion': 'is not deleted any more. It is disabled',
}

export function KeyDetail({ name }: { readonly name: string }) {
  const { session, keys } = useConsole()
  const [isErasing, setErasing] = useState(false)
  const title = useFocusWhenAlone()
  const { isBusy, problem, run } = useAction()
  void keys.version.value
  const row = keys.get(name)
  const history = useLoaded(() => keyHistory(session, name), [name, `${row?.state} ${row?.revision}`])
  const change = (what: PlainChange) =>
    run(async () => {
      await changeKey(session, what, name)
      keys.noteChange()
      tellDone(`Key ${name} ${DONE[what]}.`)
    })

  return (
    <section class="detail-pane" aria-labelledby="key-title">
      <header class="pane-head">
        <a class="back" href={routeTo('keys')} aria-label="Back to all keys">
          <Icon name="back" />
        </a>
        <h2 id="key-title" ref={title} tabIndex={-1}>
          <Name text={name} />
        </h2>
        {row !== undefined && <StateBadge state={row.state} />}
      </header>
      {row === undefined && keys.isListed.value && (
        <p class="empty">There is no key of this name. If there was one, its history is below.</p>
      )}
      {row !== undefined && (
        <>
          <Facts row={row} />
          <div class="actions">
            {(row.state === 'enabled' || row.state === 'damaged') && (
              <button type="button" disabled={isBusy} onClick={() => change('disable')}>
                <Icon name="lock" />
                Disable
              </button>
            )}
            {row.state === 'disabled' && (
              <button type="button" class="primary" disabled={isBusy} onClick={() => change('enable')}>
                <Icon name="open" />
                Enable
              </button>
            )}
            {row.state === 'pending' && (
              <button
                type="button"
                class="primary"
                disabled={isBusy}
                onClick={() => change('cancel-deletion')}
              >
                <Icon name="back" />
                Cancel deletion
              </button>
            )}
            {row.state !== 'erased' && row.state !== 'pending' && (
              <button type="button" class="danger" disabled={isBusy} onClick={() => setErasing(true)}>
                <Icon name="gone" />
                Delete …
              </button>
            )}
          </div>
          {problem !== undefined && <Problem>{problem}</Problem>}
        </>
      )}
      <ReceiptCard name={name} erasure={history.value?.findLast(({ action }) => action === 'erase')} />
      {row !== undefined && row.state !== 'erased' && <Impact name={name} />}
      <History name={name} entries={history.value} problem={history.problem} />
      {isErasing && <EraseKeyDialog name={name} onClose={() => setErasing(false)} />}
    </section>
  )
}

function Facts({ row }: { readonly row: KeyRow }) {
  return (
    <dl class="facts">
      {row.deletionAt !== undefined && row.state === 'pending' && (
        <Fact label="Will be erased">
          <Moment time={row.deletionAt} />
        </Fact>
      )}
      <Fact label="Created">
        <Moment time={row.createdAt} none="unknown" />
      </Fact>
      <Fact label="Created by" isWide>
        <FullIdentity text={row.createdBy} />
      </Fact>
      {row.state !== 'erased' && <FactsOfLife row={row} />}
    </dl>
  )
}

function FactsOfLife({ row }: { readonly row: KeyRow }) {
  return (
    <>
      <Fact label="Last use">
        <Moment time={row.lastUsedAt} none="never, as far as the server knows" />
      </Fact>
      <Fact label="Last change">
        <Moment time={row.changedAt} none="unknown" />
      </Fact>
      <Fact label="Changed by" isWide>
        <FullIdentity text={row.changedBy} />
      </Fact>
      <Fact label="Algorithm">
        <Name text={row.algorithm ?? '–'} />
      </Fact>
      <Fact label="Revision">{row.revision ?? '–'}</Fact>
    </>
  )
}

function FullIdentity({ text }: { readonly text: string | undefined }) {
  return text === undefined ? <span class="quiet">nobody known</span> : <Name text={text} />
}

/** What would die with the key; asked for only when somebody wants to know, because the node looks through all objects. */
function Impact({ name }: { readonly name: string }) {
  const { hasNode } = useConsole()
  const [isOpen, setOpen] = useState(false)
  if (!hasNode) return null
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Objects under this key</summary>
      {isOpen && <KeyImpact name={name} />}
    </details>
  )
}

interface ReceiptCardProps {
  readonly name: string
  /** The last one under this name, as far as the history is known. */
  readonly erasure: JournalEntry | undefined
}

function ReceiptCard({ name, erasure }: ReceiptCardProps) {
  const { session, receipts } = useConsole()
  const own = receipts.value.get(name)
  const isOwn = own !== undefined && own.journal.number >= (erasure?.number ?? 0)
  const { isBusy, problem, run } = useAction()
  if (isOwn) return <Receipt receipt={own} />
  if (erasure === undefined) return null
  const download = () =>
    run(async () => saveJson(`receipt-${name}.json`, await erasureReceipt(session, name)))
  return (
    <div class="card receipt">
      <h3>Receipt of the erasure</h3>
      <p>
        Erased at <Moment time={parseTime(erasure.time)} />. {SIGNED}
      </p>
      {problem !== undefined && <Problem>{problem}</Problem>}
      <button type="button" disabled={isBusy} onClick={download}>
        <Icon name="import" />
        Download receipt
      </button>
    </div>
  )
}

const SIGNED = 'The receipt is signed, and proves it without this server.'

function Receipt({ receipt }: { readonly receipt: ErasureReceipt }) {
  const title = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    // The button that had the focus has gone with the key.
    if (document.activeElement === document.body) title.current?.focus()
  }, [])
  return (
    <div class="card receipt">
      <h3 ref={title} tabIndex={-1}>
        Receipt of the erasure
      </h3>
      <p>
        Erased at <Moment time={parseTime(receipt.erased_at)} />. {SIGNED}
      </p>
      <ul class="quiet">
        {receipt.not_covered.map((each) => (
          <li key={each}>Not covered: {each}.</li>
        ))}
      </ul>
      <button type="button" onClick={() => saveJson(`receipt-${receipt.name}.json`, receipt)}>
        <Icon name="import" />
        Download receipt
      </button>
    </div>
  )
}

const ENTRIES_SHOWN = 100

interface HistoryProps {
  readonly name: string
  readonly entries: readonly JournalEntry[] | undefined
  readonly problem: string | undefined
}

function History({ name, entries, problem }: HistoryProps) {
  const latest = (entries ?? []).slice(-ENTRIES_SHOWN).reverse()
  const earlier = (entries?.length ?? 0) - latest.length
  return (
    <section class="history" aria-labelledby="history-title">
      <header class="pane-head">
        <h3 id="history-title">History</h3>
        {entries !== undefined && (
          <button type="button" onClick={() => saveJson(`history-${name}.json`, { entries })}>
            <Icon name="import" />
            Download history
          </button>
        )}
      </header>
      {problem !== undefined && <p class="quiet">{problem}</p>}
      <ol class="timeline">
        {latest.map((entry) => (
          <Entry key={entry.number} entry={entry} />
        ))}
      </ol>
      {earlier > 0 && (
        <p class="quiet">{counted(earlier, 'earlier entry', 'earlier entries')} in the download.</p>
      )}
    </section>
  )
}

const TONES: ReadonlyMap<string, string> = new Map([
  ['enabled', 'good'],
  ['disabled', 'bad'],
  ['pending', 'warn'],
  ['erased', 'gone'],
])

function Entry({ entry }: { readonly entry: JournalEntry }) {
  return (
    <li class={`tone-${TONES.get(entry.state) ?? 'quiet'}`}>
      <b>{entry.action}</b> <Moment time={parseTime(entry.time)} />
      <br />
      <span class="quiet">
        {entry.identity === '' ? 'by the server' : 'by '}
        {entry.identity !== '' && <Identity text={entry.identity} />}
        {entry.ip !== '' && ` from ${entry.ip}`} · journal entry {entry.number}
      </span>
      {entry.detail !== undefined && (
        <ul class="quiet">
          {Object.entries(entry.detail).map(([field, value]) => (
            <li key={field}>
              {field.replaceAll('_', ' ')}: <Name text={String(value)} />
            </li>
          ))}
        </ul>
      )}
    </li>
  )
}
