/** Asks how objects are to be encrypted. */
import { useId } from 'preact/hooks'
import type { Encryption } from '../net/node.ts'
import { useConsole } from '../state/console.ts'
import { TextField } from './text-field.tsx'

export interface EncryptionChoiceProps {
  readonly label: string
  /** What choosing nothing means. */
  readonly none: string
  readonly value: Encryption | null
  /** S3 knows a default of a bucket with a named key only, and requests without. */
  readonly takesNodeKey: boolean
  readonly onChange: (value: Encryption | null) => void
}

/** So many key names are offered; any other can be typed. */
const OFFERED_MAX = 200

export function EncryptionChoice({ label, none, value, takesNodeKey, onChange }: EncryptionChoiceProps) {
  const { keys } = useConsole()
  const kindId = useId()
  const offered: string[] = []
  for (const { name, state } of keys.rows()) {
    if (offered.length === OFFERED_MAX) break
    if (state === 'enabled') offered.push(name)
  }
  return (
    <div class="encryption-choice">
      <label for={kindId}>{label}</label>
      <select
        id={kindId}
        value={value?.kind ?? ''}
        onChange={({ currentTarget: { value: kind } }) => onChange(kind === '' ? null : { kind, key_id: '' })}
      >
        <option value="">{none}</option>
        <option value="SSE-S3">SSE-S3: the node’s key</option>
        <option value="SSE-KMS">SSE-KMS: a key by name</option>
      </select>
      {value?.kind === 'SSE-KMS' && (
        <TextField
          label={takesNodeKey ? 'Key (empty: the node’s key)' : 'Key'}
          value={value.key_id ?? ''}
          onInput={(name) => onChange({ kind: 'SSE-KMS', key_id: name })}
          isRequired={!takesNodeKey}
          offered={offered}
        />
      )}
    </div>
  )
}
