import { useId, useState } from 'preact/hooks'
import { type Encryption, makeBucket, setBucketEncryption } from '../net/node.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { EncryptionChoice } from '../parts/encryption-choice.tsx'
import { Problem } from '../parts/problem.tsx'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'

export interface CreateBucketDialogProps {
  readonly onClose: () => void
  readonly onDone: () => void
}

export function CreateBucketDialog({ onClose, onDone }: CreateBucketDialogProps) {
  const { session } = useConsole()
  const [name, setName] = useState('')
  const [encryption, setEncryption] = useState<Encryption | null>({ kind: 'SSE-S3', key_id: '' })
  const nameId = useId()
  const { isBusy, problem, run } = useAction()

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    run(async () => {
      await makeBucket(session, name)
      // The bucket is there from here on, whatever becomes of its encryption.
      onDone()
      if (encryption !== null) {
        await setBucketEncryption(session, name, encryption)
        onDone()
      }
      tellDone(`Bucket ${name} was created.`)
      location.hash = routeTo('objects', [name])
      onClose()
    })
  }

  return (
    <Dialog title="Create a bucket" onClose={onClose}>
      <form onSubmit={submit}>
        <label for={nameId}>Name</label>
        <input
          id={nameId}
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
          autocomplete="off"
          autoCapitalize="off"
          spellcheck={false}
          required
        />
        <EncryptionChoice
          label="Default encryption"
          none="none: objects lie in the clear"
          value={encryption}
          onChange={setEncryption}
        />
        {problem !== undefined && <Problem>{problem}</Problem>}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            Create
          </button>
        </div>
      </form>
    </Dialog>
  )
}
