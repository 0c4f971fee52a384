/** "May this identity do that?", answered with the rule that decides. */
import { useId, useState } from 'preact/hooks'
import { explainPolicy, listApis, type Verdict } from '../net/key-server.ts'
import { useAction } from '../parts/action.ts'
import { Fact } from '../parts/fact.tsx'
import { Icon } from '../parts/icons.tsx'
import { useLoaded } from '../parts/loaded.ts'
import { Name } from '../parts/name.tsx'
import { Problem } from '../parts/problem.tsx'
import { TextField } from '../parts/text-field.tsx'
import { useConsole } from '../state/console.ts'

export function MayForm({ identities }: { readonly identities: readonly string[] }) {
  const { session } = useConsole()
  const [identity, setIdentity] = useState(session.identity)
  const [method, setMethod] = useState('PUT')
  const [path, setPath] = useState('/v1/key/generate/')
  const [verdict, setVerdict] = useState<Verdict>()
  const apis = useLoaded(() => listApis(session), [session])
  const id = useId()
  const { isBusy, problem, run } = useAction()
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    setVerdict(undefined)
    run(async () => setVerdict(await explainPolicy(session, { identity: identity.trim(), method, path })))
  }
  const choosePath = (text: string) => {
    setPath(text)
    const api = apis.value?.find((each) => each.path === text)
    if (api !== undefined) setMethod(api.method)
  }
  return (
    <section class="card" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>May this identity do that?</h2>
      <form class="may" onSubmit={submit}>
        <div>
          <TextField label="Identity" value={identity} onInput={setIdentity} offered={identities} />
        </div>
        <div>
          <label for={`${id}-method`}>Method</label>
          <select
            id={`${id}-method`}
            value={method}
            onChange={(event) => setMethod(event.currentTarget.value)}
          >
            {['GET', 'PUT', 'POST', 'DELETE'].map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </div>
        <div>
          <TextField
            label="Path"
            value={path}
            onInput={choosePath}
            offered={apis.value?.map((each) => each.path) ?? []}
          />
        </div>
        <button type="submit" class="primary" disabled={isBusy}>
          Ask
        </button>
      </form>
      {problem !== undefined && <Problem>{problem}</Problem>}
      <div role="status">{verdict !== undefined && <Answer verdict={verdict} />}</div>
    </section>
  )
}

function Answer({ verdict }: { readonly verdict: Verdict }) {
  const { allowed, policy, status, reason, rule, nearest, hint } = verdict
  return (
    <div class={allowed ? 'answer good' : 'answer bad'}>
      <p class={allowed ? 'tone-good' : 'tone-bad'}>
        <Icon name={allowed ? 'check' : 'close'} /> <b>{allowed ? 'Allowed' : `Denied (${status})`}</b>:{' '}
        <Name text={reason} />
      </p>
      <dl class="facts">
        {policy !== undefined && (
          <Fact label="Policy" isWide>
            <Name text={policy} />
          </Fact>
        )}
        {rule !== undefined && (
          <Fact label="Deciding rule" isWide>
            <Name text={rule} />
          </Fact>
        )}
        {nearest !== undefined && (
          <Fact label="Nearest rule" isWide>
            <Name text={nearest} />
          </Fact>
        )}
        {hint !== undefined && (
          <Fact label="To allow it" isWide>
            <Name text={hint} />
          </Fact>
        )}
      </dl>
    </div>
  )
}
