/** Deletes a key, now or later: says what dies with it, and wants its name typed. */
import { useId, useState } from 'preact/hooks'
import { ApiError } from '../net/api-error.ts'
import { eraseKey, scheduleDeletion } from '../net/key-server.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { Name } from '../parts/name.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { KeyImpact } from './key-impact.tsx'

export interface EraseKeyDialogProps {
  readonly name: string
  readonly onClose: () => void
}

const DAYS_DEFAULT = 7
const DAYS_MAX = 3650

export function EraseKeyDialog({ name, onClose }: EraseKeyDialogProps) {
  const context = useConsole()
  const [when, setWhen] = useState<'later' | 'now'>('later')
  const [days, setDays] = useState(DAYS_DEFAULT)
  const [typed, setTyped] = useState('')
  const daysId = useId()
  const { isBusy, problem, error, run } = useAction()
  // A receipt is refused of what is yet to come: that is how a server with a waiting period answers.
  const mustWait = when === 'now' && error instanceof ApiError && error.code === 'InvalidParameter'

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    run(async () => {
      if (when === 'now') {
        context.keepReceipt(await eraseKey(context.session, name))
        tellDone(`Key ${name} is erased.`)
      } else {
        await scheduleDeletion(context.session, name, `${days}d`)
        tellDone(`Key ${name} will be erased in ${days} days, and can’t be used until that is cancelled.`)
      }
      context.keys.noteChange()
      onClose()
    })
  }

  return (
    <Dialog
      title={
        <>
          Delete <Name text={name} />
        </>
      }
      onClose={onClose}
    >
      <form onSubmit={submit}>
        <p>
          What was encrypted under an erased key is <b>lost for good</b>: nobody can bring it back.
        </p>
        {context.hasNode ? (
          <KeyImpact name={name} />
        ) : (
          <p class="quiet">
            The console can’t see what is encrypted under this key:{' '}
            {context.session.isAdmin
              ? 'it knows no storage node.'
              : 'only the admin may ask the storage node.'}
          </p>
        )}
        <fieldset>
          <legend>When</legend>
          <label class="check">
            <input type="radio" name="when" checked={when === 'later'} onChange={() => setWhen('later')} />
            Later: it can’t be used from now on, and this can be cancelled until then
          </label>
          {when === 'later' && (
            <p class="indented">
              <label for={daysId}>Days until it is erased</label>
              <input
                id={daysId}
                type="number"
                min={1}
                max={DAYS_MAX}
                value={days}
                onInput={(event) => setDays(event.currentTarget.valueAsNumber)}
                required
              />
            </p>
          )}
          <label class="check">
            <input type="radio" name="when" checked={when === 'now'} onChange={() => setWhen('now')} />
            Now, with a signed receipt
          </label>
        </fieldset>
        <TextField
          label={
            <>
              Type the name of the key to confirm: <Name text={name} />
            </>
          }
          value={typed}
          onInput={setTyped}
        />
        <FormEnd
          problem={
            mustWait ? 'This server’s config has a waiting period: schedule the deletion instead.' : problem
          }
          label={when === 'now' ? 'Erase for good' : 'Schedule deletion'}
          isDisabled={isBusy || typed !== name}
          isDangerous
          onClose={onClose}
        />
      </form>
    </Dialog>
  )
}
