/**
 * A table of which only the rows in sight are in the document, however many there are. Arrow keys, Page Up and Down,
 * Home and End move along the rows; Tab enters and leaves them as if they were one.
 */
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

export interface VirtualTableProps<T> {
  readonly label: string
  readonly class: string
  /** The cells of the head. */
  readonly head: ComponentChildren
  readonly items: readonly T[]
  readonly keyOf: (item: T) => string | number
  /** Pixels; all rows are equally high. */
  readonly rowHeight: number
  /** The cells of a row. What can have the focus in it takes `tabIndex`. */
  readonly render: (item: T, tabIndex: 0 | -1) => ComponentChildren
  readonly isCurrent?: (item: T) => boolean
}

const OVERSCAN_ROWS = 6
/** Until it has been measured. */
const HEIGHT_PX = 600

export function VirtualTable<T>({ rowHeight, items, ...props }: VirtualTableProps<T>) {
  const scroller = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(HEIGHT_PX)
  const [active, setActive] = useState(0)
  const isMoving = useRef(false)

  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    const observer = new ResizeObserver(() => setHeight(element.clientHeight))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  useLayoutEffect(() => {
    if (!isMoving.current) return
    isMoving.current = false
    scroller.current?.querySelector<HTMLElement>('tbody [tabindex="0"]')?.focus({ preventScroll: true })
  })

  const last = items.length - 1
  const firstInSight = Math.min(Math.floor(top / rowHeight), Math.max(last, 0))
  const lastInSight = Math.min(Math.ceil((top + height) / rowHeight) - 1, last)
  const first = Math.max(0, firstInSight - OVERSCAN_ROWS)
  const end = Math.min(items.length, lastInSight + 1 + OVERSCAN_ROWS)
  // Tab enters a row that is in sight.
  const current = Math.max(firstInSight, Math.min(active, lastInSight))

  const moveTo = (index: number) => {
    const element = scroller.current
    if (element === null || last < 0) return
    const next = Math.max(0, Math.min(index, last))
    const start = next * rowHeight
    // The head takes the place of one row at the top.
    const room = height - rowHeight
    if (start < element.scrollTop) element.scrollTop = start
    else if (start + rowHeight > element.scrollTop + room) element.scrollTop = start + rowHeight - room
    isMoving.current = true
    setTop(element.scrollTop)
    setActive(next)
  }
  const page = Math.max(1, Math.floor(height / rowHeight) - 2)
  const onKeyDown = (event: KeyboardEvent) => {
    const targets: Readonly<Record<string, number>> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: last,
    }
    const target = targets[event.key]
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    moveTo(target)
  }

  return (
    <div class="table-scroller" ref={scroller} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      {/* The padding is in place of the rows that are out of sight. */}
      <div
        style={{
          paddingTop: `${first * rowHeight}px`,
          paddingBottom: `${(items.length - end) * rowHeight}px`,
        }}
      >
        <table
          class={`table-virtual ${props.class}`}
          aria-label={props.label}
          aria-rowcount={items.length + 1}
        >
          <thead>
            <tr aria-rowindex={1}>{props.head}</tr>
          </thead>
          <tbody onKeyDown={onKeyDown}>
            {items.slice(first, end).map((item, offset) => {
              const index = first + offset
              return (
                <tr
                  key={props.keyOf(item)}
                  class={props.isCurrent?.(item) ? 'current' : undefined}
                  aria-rowindex={index + 2}
                  onFocusCapture={() => setActive(index)}
                >
                  {props.render(item, index === current ? 0 : -1)}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </div>
  )
}
