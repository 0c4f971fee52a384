/** Something that the visitor asked for and that takes a while: once at a time, and its failure is shown. */
import { useRef, useState } from 'preact/hooks'
import { explainError } from '../net/api-error.ts'

export interface Action {
  readonly isBusy: boolean
  /** Why the last run failed; undefined if it did not. */
  readonly problem: string | undefined
  /** What the last run threw. */
  readonly error: unknown
  readonly run: (work: () => Promise<void>) => void
}

export function useAction(): Action {
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(undefined)
  const isRunning = useRef(false)
  const run = (work: () => Promise<void>) => {
    if (isRunning.current) return
    isRunning.current = true
    setBusy(true)
    setError(undefined)
    work()
      // As a function of the state before: what was thrown could be one itself.
      .catch((thrown: unknown) => setError(() => thrown))
      .finally(() => {
        isRunning.current = false
        setBusy(false)
      })
  }
  return { isBusy, error, problem: error === undefined ? undefined : explainError(error), run }
}
