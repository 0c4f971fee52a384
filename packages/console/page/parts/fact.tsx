/** One entry of a list of facts (`dl.facts`). */
import type { ComponentChildren } from 'preact'

export interface FactProps {
  readonly label: string
  /** Takes a line of its own. */
  readonly isWide?: boolean
  readonly children: ComponentChildren
}

export function Fact({ label, isWide = false, children }: FactProps) {
  return (
    <div class={isWide ? 'wide' : undefined}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  )
}
