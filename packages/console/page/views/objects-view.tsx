/** The storage node: its buckets, the objects of one, or one object. */
import { useState } from 'preact/hooks'
import { type Bucket, listBuckets } from '../net/node.ts'
import { EncryptionLabel } from '../parts/encryption-label.tsx'
import { Icon } from '../parts/icons.tsx'
import { useLoaded } from '../parts/loaded.ts'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { useConsole } from '../state/console.ts'
import { route, routeTo } from '../state/route.ts'
import { BucketView } from './bucket-view.tsx'
import { CreateBucketDialog } from './create-bucket-dialog.tsx'
import { ObjectDetail } from './object-detail.tsx'

export function ObjectsView() {
  const { session, info, hasNode } = useConsole()
  const {
    names: [bucket, key],
    prefix,
  } = route.value
  const [isCreating, setCreating] = useState(false)
  const {
    value: buckets,
    problem,
    reload,
  } = useLoaded(hasNode ? () => listBuckets(session) : undefined, [hasNode])
  if (info.value === undefined) return null
  if (!hasNode) {
    return (
      <p class="empty">
        {session.isAdmin
          ? 'The key server’s config names no storage node. Its section console.node does.'
          : 'Only the admin may look into the storage node from here.'}
      </p>
    )
  }
  return (
    <div class={bucket === undefined ? 'split objects' : 'split objects has-detail'}>
      <section class="list-pane" aria-labelledby="buckets-title">
        <header class="pane-head">
          <h2 id="buckets-title">Buckets</h2>
          <button type="button" class="primary" onClick={() => setCreating(true)}>
            <Icon name="plus" />
            Create bucket
          </button>
        </header>
        {problem !== undefined && <Problem>{problem}</Problem>}
        {buckets?.length === 0 && <p class="empty">There is no bucket yet.</p>}
        <ul class="choices">
          {buckets?.map((each) => (
            <BucketChoice key={each.name} bucket={each} isCurrent={each.name === bucket} />
          ))}
        </ul>
      </section>
      {bucket !== undefined && key === undefined && (
        <BucketView
          key={`${bucket}/${prefix}`}
          bucket={bucket}
          prefix={prefix}
          encryption={buckets?.find(({ name }) => name === bucket)?.encryption}
          onChange={reload}
        />
      )}
      {bucket !== undefined && key !== undefined && (
        <ObjectDetail key={`${bucket}/${key}`} bucket={bucket} objectKey={key} />
      )}
      {isCreating && <CreateBucketDialog onClose={() => setCreating(false)} onDone={reload} />}
    </div>
  )
}

function BucketChoice({ bucket, isCurrent }: { readonly bucket: Bucket; readonly isCurrent: boolean }) {
  return (
    <li>
      <a href={routeTo('objects', [bucket.name])} aria-current={isCurrent ? 'true' : undefined}>
        <Icon name="box" />
        <Name text={bucket.name} />
        <EncryptionLabel encryption={bucket.encryption} />
      </a>
    </li>
  )
}
