/** What has just become of what the visitor did, in a corner of any view. */
import { Icon } from '../parts/icons.tsx'
import { notices, putAway } from '../state/notices.ts'
import { visibleText } from '../text/visible.ts'

export function Notices() {
  return (
    <div class="notices" role="status">
      {notices.value.map(({ id, kind, text }) => (
        <p key={id} class={`notice ${kind}`}>
          <Icon name={kind === 'done' ? 'check' : 'warning'} />
          <span>{visibleText(text)}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => putAway(id)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  )
}
