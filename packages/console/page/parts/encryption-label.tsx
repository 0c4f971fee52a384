/** How something is encrypted, and under which key, with the state that the key has now. */
import type { Encryption } from '../net/node.ts'
import { useConsole } from '../state/console.ts'
import { routeTo } from '../state/route.ts'
import { visibleText } from '../text/visible.ts'
import { Icon } from './icons.tsx'
import { Name } from './name.tsx'

export interface EncryptionLabelProps {
  readonly encryption: Encryption | null
  /** Whether the key's name leads to it; not within another link. */
  readonly isLink?: boolean
}

export function EncryptionLabel({ encryption, isLink = false }: EncryptionLabelProps) {
  const { keys } = useConsole()
  void keys.version.value
  if (encryption === null) return <span class="encryption quiet">not encrypted</span>
  const kind = visibleText(encryption.kind)
  const name = encryption.key_id
  if (name == null || name === '') return <span class="encryption">{kind}</span>
  const state = keys.get(name)?.state
  const isLocked = state !== undefined && state !== 'enabled'
  return (
    <span class={isLocked ? 'encryption tone-bad' : 'encryption'}>
      {kind}{' '}
      {isLink ? (
        <a href={routeTo('keys', [name])}>
          <Name text={name} />
        </a>
      ) : (
        <Name text={name} />
      )}
      {isLocked && (
        <>
          {' '}
          <Icon name="lock" />
          <span class="unseen">key is {visibleText(state)}</span>
        </>
      )}
    </span>
  )
}
