/** What went wrong, where it did. Read out at once. */
import type { ComponentChildren } from 'preact'
import { Icon } from './icons.tsx'

export function Problem({ children }: { readonly children: ComponentChildren }) {
  return (
    <p class="problem" role="alert">
      <Icon name="warning" />
      <span>{children}</span>
    </p>
  )
}
