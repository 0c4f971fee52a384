/** What of the storage node's objects dies with a key. */
import { objectsOfKey } from '../net/node.ts'
import { useLoaded } from '../parts/loaded.ts'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { useConsole } from '../state/console.ts'
import { counted, formatBytes } from '../text/format.ts'
import { visibleText } from '../text/visible.ts'

export function KeyImpact({ name }: { readonly name: string }) {
  const { session } = useConsole()
  const { value: found, problem } = useLoaded((signal) => objectsOfKey(session, name, signal), [name])
  if (problem !== undefined) return <Problem>Which objects would be lost is not known: {problem}</Problem>
  if (found === undefined) return <p class="quiet">Looking through the storage node …</p>
  const { count, bytes, objects, truncated, uploads = 0, backend = false } = found
  return (
    <div class="impact">
      <p>
        {count === 0 ? (
          'No object of the storage node is encrypted under this key.'
        ) : (
          <>
            <b>
              {counted(count, 'object')} ({formatBytes(bytes)})
            </b>{' '}
            of the storage node {count === 1 ? 'is' : 'are'} encrypted under this key.
          </>
        )}
        {uploads > 0 && ` So ${uploads === 1 ? 'is' : 'are'} ${counted(uploads, 'upload')} under way.`}
      </p>
      {backend && (
        <p class="tone-bad">
          The node’s own configuration is encrypted under this key: without it, the node does not start.
        </p>
      )}
      {objects.length > 0 && (
        <ul class="object-list">
          {objects.map(({ bucket, key, size, kind }) => (
            <li key={`${bucket}/${key}`}>
              <Name text={`${bucket}/${key}`} />{' '}
              <span class="quiet">
                {formatBytes(size)}, {visibleText(kind)}
              </span>
            </li>
          ))}
          {truncated && <li class="quiet">and {counted(count - objects.length, 'more object')}</li>}
        </ul>
      )}
    </div>
  )
}
