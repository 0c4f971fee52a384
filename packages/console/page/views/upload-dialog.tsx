import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { type Encryption, putObject } from '../net/node.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { EncryptionChoice } from '../parts/encryption-choice.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { Name } from '../parts/name.tsx'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { counted } from '../text/format.ts'

export interface UploadDialogProps {
  readonly bucket: string
  /** Stands before the names of the files. */
  readonly prefix: string
  readonly bucketDefault: Encryption | null
  readonly onClose: () => void
  readonly onDone: () => void
}

export function UploadDialog({ bucket, prefix, bucketDefault, onClose, onDone }: UploadDialogProps) {
  const { session } = useConsole()
  const field = useRef<HTMLInputElement>(null)
  const [encryption, setEncryption] = useState<Encryption | null>(null)
  const [progress, setProgress] = useState<{ readonly name: string; readonly done: number }>()
  const fieldId = useId()
  const { isBusy, problem, run } = useAction()
  const control = useRef(new AbortController())
  useEffect(() => () => control.current.abort(), [])

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const files = [...(field.current?.files ?? [])]
    run(async () => {
      try {
        for (const file of files) {
          const target = { bucket, key: prefix + file.name, encryption: encryption ?? undefined }
          setProgress({ name: file.name, done: 0 })
          const onProgress = (bytes: number) =>
            setProgress({ name: file.name, done: file.size === 0 ? 1 : bytes / file.size })
          await putObject(session, target, file, onProgress, control.current.signal)
        }
      } finally {
        // Those before the one that failed are there.
        onDone()
      }
      tellDone(`${counted(files.length, 'object')} uploaded.`)
      onClose()
    })
  }

  const standard =
    bucketDefault === null
      ? 'the bucket’s default: not encrypted'
      : `the bucket’s default: ${bucketDefault.kind}`
  return (
    <Dialog
      title={
        <>
          Upload to <Name text={`${bucket}/${prefix}`} />
        </>
      }
      onClose={onClose}
    >
      <form onSubmit={submit}>
        <label for={fieldId}>Files</label>
        <input id={fieldId} ref={field} type="file" multiple required />
        <EncryptionChoice
          label="Encryption"
          none={standard}
          value={encryption}
          takesNodeKey
          onChange={setEncryption}
        />
        {progress !== undefined && isBusy && (
          <p>
            <Name text={progress.name} />
            <progress aria-label="Upload" max={1} value={progress.done} />
          </p>
        )}
        <FormEnd
          problem={
            problem === undefined ? undefined : (
              <>
                <Name text={progress?.name ?? ''} /> was not uploaded. {problem}
              </>
            )
          }
          label="Upload"
          isDisabled={isBusy}
          onClose={onClose}
        />
      </form>
    </Dialog>
  )
}
