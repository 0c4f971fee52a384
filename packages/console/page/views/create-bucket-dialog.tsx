import { useState } from 'preact/hooks'
import { type Encryption, makeBucket, setBucketEncryption } from '../net/node.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { EncryptionChoice } from '../parts/encryption-choice.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { TextField } from '../parts/text-field.tsx'
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
        <TextField label="Name" value={name} onInput={setName} />
        <EncryptionChoice
          label="Default encryption"
          none="none: objects lie in the clear"
          value={encryption}
          takesNodeKey={false}
          onChange={setEncryption}
        />
        <FormEnd problem={problem} label="Create" isDisabled={isBusy} onClose={onClose} />
      </form>
    </Dialog>
  )
}
