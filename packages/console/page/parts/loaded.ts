/** Something that a view asks the server for, again whenever what it depends on changes. */
import { useEffect, useState } from 'preact/hooks'
import { explainError } from '../net/api-error.ts'

export interface Loaded<T> {
  /** Stays while it is asked for again. */
  readonly value: T | undefined
  readonly problem: string | undefined
  readonly reload: () => void
}

/** @param load - undefined if there is nothing to ask for. What it answers after a change of `of` is dropped. */
export function useLoaded<T>(
  load: ((signal: AbortSignal) => Promise<T>) | undefined,
  of: readonly unknown[],
): Loaded<T> {
  const [value, setValue] = useState<T>()
  const [problem, setProblem] = useState<string>()
  const [round, setRound] = useState(0)
  useEffect(() => {
    if (load === undefined) return
    const control = new AbortController()
    load(control.signal).then(
      (answer) => {
        if (control.signal.aborted) return
        setValue(() => answer)
        setProblem(undefined)
      },
      (error: unknown) => {
        if (control.signal.aborted) return
        setValue(undefined)
        setProblem(explainError(error))
      },
    )
    return () => control.abort()
  }, [...of, round])
  return { value, problem, reload: () => setRound((before) => before + 1) }
}
