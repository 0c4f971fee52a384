import { useState } from 'preact/hooks'
import { ApiError } from '../net/api-error.ts'
import { createKey } from '../net/key-server.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'

export function CreateKeyDialog({ onClose }: { readonly onClose: () => void }) {
  const { session, keys } = useConsole()
  const [name, setName] = useState('')
  const [takesErasedName, setTakesErasedName] = useState(false)
  const { isBusy, problem, error, run } = useAction()
  const isReserved = error instanceof ApiError && error.code === 'KeyNameReserved'

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    run(async () => {
      await createKey(session, name, takesErasedName)
      keys.noteChange()
      tellDone(`Key ${name} was created.`)
      location.hash = routeTo('keys', [name])
      onClose()
    })
  }

  return (
    <Dialog title="Create a key" onClose={onClose}>
      <form onSubmit={submit}>
        <TextField label="Name" value={name} onInput={setName} />
        <p class="quiet">The key is made by the server, and never leaves it.</p>
        {session.isAdmin && (isReserved || takesErasedName) && (
          <label class="check">
            <input
              type="checkbox"
              checked={takesErasedName}
              onChange={(event) => setTakesErasedName(event.currentTarget.checked)}
            />
            Take the name of the erased key. The new key opens nothing that the old one encrypted.
          </label>
        )}
        <FormEnd problem={problem} label="Create" isDisabled={isBusy} onClose={onClose} />
      </form>
    </Dialog>
  )
}
