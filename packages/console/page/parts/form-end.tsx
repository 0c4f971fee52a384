/** The end of a dialog's form: why the last attempt failed, the way out, and the way on. */
import type { ComponentChildren } from 'preact'
import { Problem } from './problem.tsx'

export interface FormEndProps {
  readonly problem: ComponentChildren
  readonly onClose: () => void
  /** What the form does. */
  readonly label: string
  readonly isDisabled: boolean
  readonly isDangerous?: boolean
}

export function FormEnd({ problem, onClose, label, isDisabled, isDangerous = false }: FormEndProps) {
  return (
    <>
      {problem !== undefined && <Problem>{problem}</Problem>}
      <div class="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" class={isDangerous ? 'danger' : 'primary'} disabled={isDisabled}>
          {label}
        </button>
      </div>
    </>
  )
}
