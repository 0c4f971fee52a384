/** Who may do what: policies, identities, and the answer to one question. */
import { useState } from 'preact/hooks'
import {
  describeIdentity,
  type IdentityDetails,
  listIdentities,
  listPolicies,
  readPolicy,
} from '../net/key-server.ts'
import { useLoaded } from '../parts/loaded.ts'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { useConsole } from '../state/console.ts'
import { formatCount } from '../text/format.ts'
import { MayForm } from './may-form.tsx'

export function AccessView() {
  const { session } = useConsole()
  const policies = useLoaded(() => listPolicies(session), [session])
  const identities = useLoaded(() => listIdentities(session), [session])
  return (
    <div class="access">
      <MayForm identities={identities.value ?? []} />
      <section aria-labelledby="policies-title">
        <h2 id="policies-title">Policies</h2>
        {policies.problem !== undefined && <Problem>{policies.problem}</Problem>}
        {policies.value?.length === 0 && (
          <p class="empty">
            There is no policy: only the admin may do anything. Policies stand in the config file.
          </p>
        )}
        {policies.value?.map((name) => (
          <PolicyCard key={name} name={name} />
        ))}
      </section>
      <section aria-labelledby="identities-title">
        <h2 id="identities-title">Identities</h2>
        {identities.problem !== undefined && <Problem>{identities.problem}</Problem>}
        <IdentityTable identities={identities.value ?? []} />
      </section>
    </div>
  )
}

function PolicyCard({ name }: { readonly name: string }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="card" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Name text={name} />
      </summary>
      {isOpen && <PolicyRules name={name} />}
    </details>
  )
}

function PolicyRules({ name }: { readonly name: string }) {
  const { session } = useConsole()
  const { value: policy, problem } = useLoaded(() => readPolicy(session, name), [name])
  if (problem !== undefined) return <Problem>{problem}</Problem>
  if (policy === undefined) return null
  return (
    <div class="rules">
      <Rules title="allow" tone="good" patterns={Object.keys(policy.allow ?? {})} />
      <Rules title="deny: wins over allow" tone="bad" patterns={Object.keys(policy.deny ?? {})} />
    </div>
  )
}

interface RulesProps {
  readonly title: string
  readonly tone: 'good' | 'bad'
  readonly patterns: readonly string[]
}

function Rules({ title, tone, patterns }: RulesProps) {
  if (patterns.length === 0) return null
  return (
    <>
      <h3 class={`tone-${tone}`}>{title}</h3>
      <ul>
        {patterns.map((pattern) => (
          <li key={pattern}>
            <Name text={pattern} />
          </li>
        ))}
      </ul>
    </>
  )
}

/** Who each of them is takes a request. */
const IDENTITIES_SHOWN = 100

function IdentityTable({ identities: all }: { readonly identities: readonly string[] }) {
  const { session } = useConsole()
  const identities = all.slice(0, IDENTITIES_SHOWN)
  const { value: details, problem } = useLoaded(async () => {
    const found = new Map<string, IdentityDetails>()
    for (const identity of identities) {
      found.set(identity, await describeIdentity(session, identity))
    }
    return found
  }, [all])
  if (identities.length === 0) return null
  return (
    <>
      {problem !== undefined && <Problem>Who they are is not known: {problem}</Problem>}
      <table class="table-plain">
        <thead>
          <tr>
            <th scope="col">Identity</th>
            <th scope="col">Policy</th>
          </tr>
        </thead>
        <tbody>
          {identities.map((identity) => {
            const known = details?.get(identity)
            return (
              <tr key={identity}>
                <td>
                  <Name text={identity} />
                  {identity === session.identity && <span class="quiet"> (you)</span>}
                </td>
                <td>
                  {known?.admin === true ? (
                    <b>admin: may do everything</b>
                  ) : (
                    <Name text={known?.policy ?? '–'} />
                  )}
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
      {all.length > identities.length && (
        <p class="quiet">and {formatCount(all.length - identities.length)} more: ask for one of them above</p>
      )}
    </>
  )
}
