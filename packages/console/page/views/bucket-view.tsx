/** The objects of a bucket, a folder and a page at a time. */
import { useEffect, useState } from 'preact/hooks'
import { explainError } from '../net/api-error.ts'
import {
  type Encryption,
  listObjects,
  type ObjectPage,
  removeBucket,
  setBucketEncryption,
} from '../net/node.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { EncryptionChoice } from '../parts/encryption-choice.tsx'
import { EncryptionLabel } from '../parts/encryption-label.tsx'
import { FormEnd } from '../parts/form-end.tsx'
import { Icon } from '../parts/icons.tsx'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { Age } from '../parts/time.tsx'
import { useFocusWhenAlone } from '../parts/use-focus-when-alone.ts'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'
import { formatBytes, parseTime } from '../text/format.ts'
import { UploadDialog } from './upload-dialog.tsx'

export interface BucketViewProps {
  readonly bucket: string
  /** Of the objects that are listed; a folder in the eyes of people. */
  readonly prefix: string
  /** Its default; undefined as long as it is not known. */
  readonly encryption: Encryption | null | undefined
  /** The bucket itself has changed, or is gone. */
  readonly onChange: () => void
}

type Open = 'upload' | 'encryption' | undefined

export function BucketView({ bucket, prefix, encryption, onChange }: BucketViewProps) {
  const { session } = useConsole()
  const [open, setOpen] = useState<Open>()
  const title = useFocusWhenAlone()
  const close = () => setOpen(undefined)
  const list = useObjects(bucket, prefix)
  const { isBusy, problem, run } = useAction()
  const remove = () =>
    run(async () => {
      await removeBucket(session, bucket)
      tellDone(`Bucket ${bucket} was removed.`)
      location.hash = routeTo('objects')
      onChange()
    })
  const isEmpty = list.isWhole && prefix === '' && list.objects.length + list.prefixes.length === 0

  return (
    <section class="detail-pane" aria-labelledby="bucket-title">
      <header class="pane-head">
        <a class="back" href={routeTo('objects')} aria-label="Back to all buckets">
          <Icon name="back" />
        </a>
        <h2 id="bucket-title" ref={title} tabIndex={-1}>
          <Path bucket={bucket} prefix={prefix} />
        </h2>
        <div class="actions">
          <button type="button" class="primary" onClick={() => setOpen('upload')}>
            <Icon name="up" />
            Upload
          </button>
        </div>
      </header>
      {encryption !== undefined && (
        <p class="bucket-facts">
          Default encryption: <EncryptionLabel encryption={encryption} isLink />{' '}
          <button type="button" onClick={() => setOpen('encryption')}>
            Change …
          </button>{' '}
          {isEmpty && (
            <button type="button" disabled={isBusy} onClick={remove}>
              Remove bucket
            </button>
          )}
        </p>
      )}
      {problem !== undefined && <Problem>{problem}</Problem>}
      {list.problem !== undefined && <Problem>{list.problem}</Problem>}
      <ObjectTable bucket={bucket} prefix={prefix} objects={list.objects} prefixes={list.prefixes} />
      {list.isWhole && list.objects.length + list.prefixes.length === 0 && (
        <p class="empty">Nothing is here yet.</p>
      )}
      {list.more !== undefined && (
        <button type="button" onClick={list.more}>
          Show more
        </button>
      )}
      {open === 'upload' && (
        <UploadDialog
          bucket={bucket}
          prefix={prefix}
          bucketDefault={encryption ?? null}
          onClose={close}
          onDone={list.reload}
        />
      )}
      {open === 'encryption' && (
        <EncryptionDialog bucket={bucket} encryption={encryption ?? null} onClose={close} onDone={onChange} />
      )}
    </section>
  )
}

function Path({ bucket, prefix }: { readonly bucket: string; readonly prefix: string }) {
  const folders = prefix.split('/').slice(0, -1)
  return (
    <>
      <a href={routeTo('objects', [bucket])}>
        <Name text={bucket} />
      </a>
      {folders.map((folder, index) => {
        const path = `${folders.slice(0, index + 1).join('/')}/`
        return (
          <span key={path}>
            {' / '}
            <a href={routeTo('objects', [bucket], path)}>
              <Name text={folder} />
            </a>
          </span>
        )
      })}
    </>
  )
}

interface ObjectTableProps extends Pick<ObjectPage, 'objects' | 'prefixes'> {
  readonly bucket: string
  readonly prefix: string
}

function ObjectTable({ bucket, prefix, objects, prefixes }: ObjectTableProps) {
  if (objects.length + prefixes.length === 0) return null
  return (
    <table class="table-plain">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Size</th>
          <th scope="col">Changed</th>
          <th scope="col">Encryption</th>
        </tr>
      </thead>
      <tbody>
        {prefixes.map((each) => (
          <tr key={`${each} folder`}>
            <td>
              <a href={routeTo('objects', [bucket], each)}>
                <Icon name="folder" />
                <Name text={each.slice(prefix.length)} />
              </a>
            </td>
            <td />
            <td />
            <td />
          </tr>
        ))}
        {objects.map(({ key, size, modified, encryption }) => (
          <tr key={key}>
            <td>
              <a href={routeTo('objects', [bucket, key])}>
                <Name text={key.slice(prefix.length)} />
              </a>
            </td>
            <td>{formatBytes(size)}</td>
            <td>
              <Age time={parseTime(modified)} />
            </td>
            <td>
              <EncryptionLabel encryption={encryption} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const NOTHING = { objects: [], prefixes: [], next: null } as const

/** The pages that have been asked for so far. */
function useObjects(bucket: string, prefix: string) {
  const { session } = useConsole()
  const [pages, setPages] = useState<readonly ObjectPage[]>([])
  const [problem, setProblem] = useState<string>()
  const [after, setAfter] = useState<string>()
  const [round, setRound] = useState(0)
  useEffect(() => {
    const control = new AbortController()
    listObjects(session, bucket, { prefix, after, signal: control.signal }).then(
      (page) => {
        setPages((before) => (after === undefined ? [page] : [...before, page]))
        setProblem(undefined)
      },
      (error: unknown) => {
        if (!control.signal.aborted) setProblem(explainError(error))
      },
    )
    return () => control.abort()
  }, [after, round])
  const last = pages.at(-1) ?? NOTHING
  const next = last.next ?? undefined
  return {
    objects: pages.flatMap((page) => page.objects),
    prefixes: pages.flatMap((page) => page.prefixes),
    isWhole: pages.length > 0 && next === undefined,
    problem,
    more: next === undefined ? undefined : () => setAfter(next),
    reload: () => {
      setAfter(undefined)
      setRound((before) => before + 1)
    },
  }
}

interface EncryptionDialogProps {
  readonly bucket: string
  readonly encryption: Encryption | null
  readonly onClose: () => void
  readonly onDone: () => void
}

function EncryptionDialog({ bucket, encryption, onClose, onDone }: EncryptionDialogProps) {
  const { session } = useConsole()
  // Settings that lie under a key that is locked are not known, and can be replaced.
  const [value, setValue] = useState(encryption?.kind === 'unknown' ? null : encryption)
  const { isBusy, problem, run } = useAction()
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    run(async () => {
      await setBucketEncryption(session, bucket, value)
      onDone()
      onClose()
    })
  }
  return (
    <Dialog title="Default encryption" onClose={onClose}>
      <form onSubmit={submit}>
        <EncryptionChoice
          label="What is put into the bucket from now on"
          none="not encrypted"
          value={value}
          takesNodeKey={false}
          onChange={setValue}
        />
        <FormEnd problem={problem} label="Save" isDisabled={isBusy} onClose={onClose} />
      </form>
    </Dialog>
  )
}
