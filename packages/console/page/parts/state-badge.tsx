/** The state of a key, in a word and a sign. */
import { visibleText } from '../text/visible.ts'
import { Icon, type IconName } from './icons.tsx'

/** A map, because a state is a text of the server's, and objects know more words than those they were given. */
const SHOWN: ReadonlyMap<string, readonly [tone: string, icon: IconName, word: string]> = new Map([
  ['enabled', ['good', 'open', 'enabled']],
  ['disabled', ['bad', 'lock', 'disabled']],
  ['pending', ['warn', 'clock', 'pending deletion']],
  ['erased', ['gone', 'gone', 'erased']],
  ['damaged', ['bad', 'warning', 'damaged']],
])

/** A state that is not known is one in which the key can't be used. */
export function StateBadge({ state }: { readonly state: string }) {
  const [tone, icon, word] = SHOWN.get(state) ?? ['bad', 'warning', visibleText(state)]
  return (
    <span class={`badge ${tone}`}>
      <Icon name={icon} />
      {word}
    </span>
  )
}
