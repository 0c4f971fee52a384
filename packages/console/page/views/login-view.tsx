/** Asks for an API key. What is typed is taken out of the field before anything is done with it. */
import { useEffect, useId, useRef } from 'preact/hooks'
import { useAction } from '../parts/action.ts'
import { Problem } from '../parts/problem.tsx'

export interface LoginViewProps {
  /** Why the last session ended, if the visitor did not end it. */
  readonly reason: string | undefined
  readonly onLogin: (apiKey: string) => Promise<void>
}

export function LoginView({ reason, onLogin }: LoginViewProps) {
  const field = useRef<HTMLInputElement>(null)
  const fieldId = useId()
  const hintId = useId()
  const { isBusy, problem, run } = useAction()
  useEffect(() => {
    document.title = 'Log in – Latchkey'
    field.current?.focus()
  }, [])

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const apiKey = field.current?.value ?? ''
    if (field.current !== null) field.current.value = ''
    run(() => onLogin(apiKey).finally(() => field.current?.focus()))
  }

  return (
    <main class="login">
      <form class="card" onSubmit={submit}>
        <h1 class="brand">
          <BrandMark />
          Latchkey
        </h1>
        {reason !== undefined && problem === undefined && <p role="status">{reason}</p>}
        <label for={fieldId}>API key</label>
        <input
          id={fieldId}
          ref={field}
          type="password"
          autocomplete="off"
          autoCapitalize="off"
          spellcheck={false}
          placeholder="kes:v1:…"
          aria-describedby={hintId}
          required
        />
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Logging in …' : 'Log in'}
        </button>
        {problem !== undefined && <Problem>{problem}</Problem>}
        <p id={hintId} class="quiet">
          The key stays in this page: it signs one login and is dropped. Reloading the page ends the session.
        </p>
      </form>
    </main>
  )
}

export function BrandMark() {
  return (
    <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <circle cx="11.5" cy="16" r="4.5" />
      <path d="M16 16h9.5v4.5M21 16v3.5" />
    </svg>
  )
}
