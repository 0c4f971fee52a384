/** What stands around each view: where one is, who one is, and whether what is shown is live. */
import type { ComponentChildren } from 'preact'
import { useEffect, useErrorBoundary, useRef } from 'preact/hooks'
import { explainError } from '../net/api-error.ts'
import type { StreamState } from '../net/follow.ts'
import type { Session } from '../net/session.ts'
import { Icon } from '../parts/icons.tsx'
import { Identity, Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { now } from '../state/clock.ts'
import { useConsole } from '../state/console.ts'
import { tellFailed } from '../state/notices.ts'
import { route, routeTo, VIEWS } from '../state/route.ts'
import { formatAge, parseTime } from '../text/format.ts'
import { AccessView } from './access-view.tsx'
import { ActivityView } from './activity-view.tsx'
import { KeysView } from './keys-view.tsx'
import { BrandMark } from './login-view.tsx'
import { ObjectsView } from './objects-view.tsx'

const LABELS = { keys: 'Keys', objects: 'Objects', activity: 'Activity', access: 'Access' } as const
const ICONS = { keys: 'key', objects: 'box', activity: 'pulse', access: 'people' } as const
const SHOWN = { keys: KeysView, objects: ObjectsView, activity: ActivityView, access: AccessView } as const

export function Shell() {
  const context = useConsole()
  const { session, keys } = context
  const readInfo = () => void context.readInfo()
  const { view } = route.value
  const View = SHOWN[view]
  const logOut = (reason?: string) => {
    session
      .logOut(reason)
      .catch((error: unknown) => tellFailed('The server was not told of the log-out', error))
  }
  useIdleLogout(session, readInfo, () => logOut('You were logged out after a time without input.'))
  useLogoutAtEnd(logOut)
  useEffect(() => {
    document.title = `${LABELS[view]} – Latchkey`
  }, [view])
  return (
    <>
      <header class="top">
        <h1 class="brand">
          <BrandMark />
          Latchkey
        </h1>
        <nav aria-label="Views">
          {VIEWS.map((name) => (
            <a key={name} href={routeTo(name)} aria-current={view === name ? 'page' : undefined}>
              <Icon name={ICONS[name]} />
              {LABELS[name]}
            </a>
          ))}
        </nav>
        <span class="who">
          <LiveSign state={keys.watch.value} />
          <span class="who-name">
            {session.isAdmin ? 'admin' : <Name text={session.policy ?? ''} />}{' '}
            <Identity text={session.identity} />
          </span>
          <button type="button" onClick={() => logOut()}>
            <Icon name="out" />
            Log out
          </button>
        </span>
      </header>
      <Warnings />
      <main class={`view view-${view}`}>
        <Guarded>
          <View />
        </Guarded>
      </main>
      <Foot />
    </>
  )
}

/** A reply that the page does not understand costs its view, not the way to the others. */
function Guarded({ children }: { readonly children: ComponentChildren }) {
  const [error, reset] = useErrorBoundary()
  const shown = route.value
  useEffect(() => reset(), [shown])
  return error === undefined ? (
    children
  ) : (
    <Problem>The page could not show this: {explainError(error)}</Problem>
  )
}

function LiveSign({ state }: { readonly state: StreamState }) {
  const [tone, text] =
    state.kind === 'open'
      ? ['good', 'live']
      : state.kind === 'refused'
        ? ['warn', 'not live']
        : state.kind === 'connecting'
          ? ['quiet', 'connecting']
          : ['bad', 'reconnecting']
  return (
    <span class={`live tone-${tone}`} role="status" title={'reason' in state ? state.reason : undefined}>
      {text}
    </span>
  )
}

const EXPIRY_WARNING_MS = 14 * 86_400_000

function Warnings() {
  const { info } = useConsole()
  const expires = parseTime(info.value?.certificate_expires ?? undefined)
  const isExpiring = expires !== undefined && expires - now.value < EXPIRY_WARNING_MS
  if (!info.value?.sandbox && !isExpiring) return null
  return (
    <aside aria-label="Warnings">
      {info.value?.sandbox && (
        <p class="banner">
          <Icon name="warning" />
          This is a sandbox: never for data that you can’t lose or reveal, never in production.
        </p>
      )}
      {isExpiring && (
        <p class="banner">
          <Icon name="warning" />
          The key server’s certificate {expires < now.value ? 'expired' : 'expires'}{' '}
          {formatAge(expires, now.value)}.
        </p>
      )}
    </aside>
  )
}

function Foot() {
  const { info } = useConsole()
  const server = info.value
  if (server === undefined) return null
  return (
    <footer class="quiet">
      <span>Latchkey {server.version}</span>
      <span>
        key server <Name text={server.endpoint} />
      </span>
      <span>
        store <Name text={server.store} />,{' '}
        {server.workers === 1 ? 'one process' : `${server.workers} workers`}
      </span>
      {server.node !== null && (
        <span>
          storage node <Name text={server.node.endpoint} />
        </span>
      )}
    </footer>
  )
}

/** Nobody is left who knows the token; the server would keep its session for a while. */
function useLogoutAtEnd(logOut: () => void): void {
  useEffect(() => {
    const end = ({ persisted }: PageTransitionEvent) => {
      if (!persisted) logOut()
    }
    addEventListener('pagehide', end)
    return () => removeEventListener('pagehide', end)
  }, [])
}

const LOOK_MS = 5_000

/**
 * A session lasts as long as there is somebody: input keeps it, also where it leads to no request, and so does an object
 * that is on its way. Streams alone do not.
 */
function useIdleLogout(session: Session, keep: () => void, logOut: () => void): void {
  const lastInput = useRef(Date.now())
  const lastKept = useRef(Date.now())
  useEffect(() => {
    const note = () => {
      lastInput.current = Date.now()
    }
    const idleMs = session.idleSeconds * 1000
    const look = () => {
      if (session.isTransferring) note()
      const now = Date.now()
      if (now - lastInput.current > idleMs) logOut()
      else if (lastInput.current > lastKept.current && now - lastKept.current > idleMs / 3) {
        lastKept.current = now
        keep()
      }
    }
    const kinds = ['pointerdown', 'keydown', 'wheel', 'touchmove'] as const
    for (const kind of kinds) addEventListener(kind, note, { passive: true })
    const timer = setInterval(look, LOOK_MS)
    return () => {
      for (const kind of kinds) removeEventListener(kind, note)
      clearInterval(timer)
    }
  }, [])
}
