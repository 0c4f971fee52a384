/** What became of something that the visitor did, where no view says it. */
import { signal } from '@preact/signals'
import { explainError } from '../net/api-error.ts'

export interface Notice {
  readonly id: number
  readonly kind: 'done' | 'failed'
  readonly text: string
}

/** Failures stay until they are put away. */
const DONE_SHOWN_MS = 6_000
const NOTICES_MAX = 4

export const notices = signal<readonly Notice[]>([])
let lastId = 0

export function tellDone(text: string): void {
  const id = tell('done', text)
  setTimeout(() => putAway(id), DONE_SHOWN_MS)
}

export function tellFailed(what: string, error: unknown): void {
  tell('failed', `${what}: ${explainError(error)}`)
}

export function putAway(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id)
}

function tell(kind: Notice['kind'], text: string): number {
  lastId++
  notices.value = [...notices.value, { id: lastId, kind, text }].slice(-NOTICES_MAX)
  return lastId
}
