import { useId, useRef, useState } from 'preact/hooks'
import { importKey } from '../net/key-server.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'

export function ImportKeyDialog({ onClose }: { readonly onClose: () => void }) {
  const { session, keys } = useConsole()
  const [name, setName] = useState('')
  const [cipher, setCipher] = useState('AES256')
  const keyField = useRef<HTMLInputElement>(null)
  const keyId = useId()
  const cipherId = useId()
  const { isBusy, problem, run } = useAction()

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const key = keyField.current?.value.trim() ?? ''
    run(async () => {
      await importKey(session, name, key, cipher)
      keys.noteChange()
      tellDone(`Key ${name} was imported.`)
      location.hash = routeTo('keys', [name])
      onClose()
    })
  }

  return (
    <Dialog title="Import a key" onClose={onClose}>
      <form onSubmit={submit}>
        <TextField label="Name" value={name} onInput={setName} />
        <label for={keyId}>Key, 32 bytes in base64</label>
        <input id={keyId} ref={keyField} type="password" autocomplete="off" spellcheck={false} required />
        <label for={cipherId}>Cipher</label>
        <select id={cipherId} value={cipher} onChange={(event) => setCipher(event.currentTarget.value)}>
          <option value="AES256">AES-256-GCM</option>
          <option value="ChaCha20">ChaCha20-Poly1305</option>
        </select>
        <p class="quiet">Whoever had the key before still has it: what is erased here may live on there.</p>
        <FormEnd problem={problem} label="Import" isDisabled={isBusy} onClose={onClose} />
      </form>
    </Dialog>
  )
}
