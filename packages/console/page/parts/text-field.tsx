/** A field for a name: nothing is completed, corrected or capitalized in it. */
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'

export interface TextFieldProps {
  readonly label: ComponentChildren
  readonly value: string
  readonly onInput: (value: string) => void
  readonly isRequired?: boolean
  /** Texts that are offered; any other can be typed. */
  readonly offered?: readonly string[]
}

export function TextField({ label, value, onInput, isRequired = true, offered }: TextFieldProps) {
  const id = useId()
  const listId = useId()
  return (
    <>
      <label for={id}>{label}</label>
      <input
        id={id}
        list={offered === undefined ? undefined : listId}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
        autocomplete="off"
        autoCapitalize="off"
        spellcheck={false}
        required={isRequired}
      />
      {offered !== undefined && (
        <datalist id={listId}>
          {offered.map((text) => (
            <option key={text} value={text} />
          ))}
        </datalist>
      )}
    </>
  )
}
