/** One object: what is known of it, and the chain of keys that its content lies under, as it stands now. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { explainObject, readObject, removeObject } from '../net/node.ts'
import { useAction } from '../parts/action.ts'
import { Dialog } from '../parts/dialog.tsx'
import { EncryptionLabel } from '../parts/encryption-label.tsx'
import { Fact } from '../parts/fact.tsx'
import { Icon } from '../parts/icons.tsx'
import { useLoaded } from '../parts/loaded.ts'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { saveFile } from '../parts/save-file.ts'
import { Moment } from '../parts/time.tsx'
import { useFocusWhenAlone } from '../parts/use-focus-when-alone.ts'
import { useConsole } from '../state/console.ts'
import { tellDone } from '../state/notices.ts'
import { routeTo } from '../state/route.ts'
import { formatBytes, parseTime } from '../text/format.ts'
import { KeyChain } from './key-chain.tsx'

export interface ObjectDetailProps {
  readonly bucket: string
  readonly objectKey: string
}

export function ObjectDetail({ bucket, objectKey }: ObjectDetailProps) {
  const { session, keys } = useConsole()
  const [isRemoving, setRemoving] = useState(false)
  void keys.version.value
  const {
    value: found,
    problem,
    reload,
  } = useLoaded((signal) => explainObject(session, bucket, objectKey, signal), [bucket, objectKey])
  const keyState = found?.externalKey === undefined ? undefined : keys.get(found.externalKey)?.state
  const title = useFocusWhenAlone()
  const lastState = useRef<string>(undefined)
  useEffect(() => {
    if (lastState.current !== undefined && keyState !== lastState.current) reload()
    lastState.current = keyState ?? lastState.current
  }, [keyState])
  const download = useAction()
  const folder = objectKey.slice(0, objectKey.lastIndexOf('/') + 1)
  const fileName = objectKey.slice(folder.length)
  const back = routeTo('objects', [bucket], folder)

  return (
    <section class="detail-pane" aria-labelledby="object-title">
      <header class="pane-head">
        <a class="back always" href={back} aria-label="Back to the bucket">
          <Icon name="back" />
        </a>
        <h2 id="object-title" ref={title} tabIndex={-1}>
          <Name text={`${bucket}/${objectKey}`} />
        </h2>
      </header>
      {problem !== undefined && <Problem>{problem}</Problem>}
      {found !== undefined && (
        <dl class="facts">
          <Fact label="Size">
            {formatBytes(found.size)}{' '}
            <span class="quiet">({formatBytes(found.storedBytes)} on the drive)</span>
          </Fact>
          <Fact label="Changed">
            <Moment time={parseTime(found.modifiedAt)} />
          </Fact>
          <Fact label="Encryption">
            <EncryptionLabel
              encryption={
                found.kind === 'none' ? null : { kind: found.kind, key_id: found.externalKey ?? null }
              }
              isLink
            />
          </Fact>
          {found.context !== undefined && (
            <Fact label="Context" isWide>
              <Name text={found.context} />
            </Fact>
          )}
        </dl>
      )}
      <div class="actions">
        <button
          type="button"
          class="primary"
          disabled={download.isBusy}
          onClick={() =>
            download.run(async () => saveFile(fileName, await readObject(session, bucket, objectKey)))
          }
        >
          <Icon name="import" />
          {download.isBusy ? 'Downloading …' : 'Download'}
        </button>
        <button type="button" class="danger" onClick={() => setRemoving(true)}>
          <Icon name="gone" />
          Delete …
        </button>
      </div>
      {download.problem !== undefined && <Problem>The download failed. {download.problem}</Problem>}
      {found !== undefined && <KeyChain found={found} keyState={keyState} />}
      {isRemoving && (
        <RemoveDialog
          bucket={bucket}
          objectKey={objectKey}
          onClose={() => setRemoving(false)}
          onDone={() => {
            tellDone('The object was deleted.')
            location.hash = back
          }}
        />
      )}
    </section>
  )
}

interface RemoveDialogProps extends ObjectDetailProps {
  readonly onClose: () => void
  readonly onDone: () => void
}

function RemoveDialog({ bucket, objectKey, onClose, onDone }: RemoveDialogProps) {
  const { session } = useConsole()
  const { isBusy, problem, run } = useAction()
  const remove = () =>
    run(async () => {
      await removeObject(session, bucket, objectKey)
      onClose()
      onDone()
    })
  return (
    <Dialog title="Delete this object?" onClose={onClose}>
      <p>
        <Name text={`${bucket}/${objectKey}`} /> is gone then. Versions are not kept.
      </p>
      {problem !== undefined && <Problem>{problem}</Problem>}
      <div class="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  )
}
