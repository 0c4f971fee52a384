/** The orders in which keys are listed. Equal ones stand by name. */
import type { KeyRow } from '../state/key-table.ts'

export type SortColumn = 'name' | 'state' | 'age' | 'use' | 'creator'

type Compare = (a: KeyRow, b: KeyRow) => number

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
const byName: Compare = (a, b) => byText(a.name, b.name)

const COMPARE: Readonly<Record<SortColumn, Compare>> = {
  name: byName,
  state: (a, b) => byText(a.state, b.state),
  // The youngest, and what was used last, first; what nobody knows last.
  age: (a, b) => (b.createdAt ?? 0) - (a.createdAt ?? 0),
  use: (a, b) => (b.lastUsedAt ?? 0) - (a.lastUsedAt ?? 0),
  creator: (a, b) => byText(a.createdBy ?? '', b.createdBy ?? ''),
}

export function compareBy(column: SortColumn): Compare {
  const compare = COMPARE[column]
  return (a, b) => compare(a, b) || byName(a, b)
}
