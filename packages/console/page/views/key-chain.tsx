/** The chain of keys of one object, drawn: where each key lives, and where the chain breaks. */
import type { ExplainedObject } from '../net/node.ts'
import { Icon, type IconName } from '../parts/icons.tsx'
import { Name } from '../parts/name.tsx'
import { visibleText } from '../text/visible.ts'
import { type ChainStep, chainSteps, type Health } from './chain-steps.ts'

export interface KeyChainProps {
  readonly found: ExplainedObject
  /** Of the external key, as the watch has it. */
  readonly keyState: string | undefined
}

export function KeyChain({ found, keyState }: KeyChainProps) {
  const steps = chainSteps(found, keyState)
  const broken = steps.find(({ health }) => health === 'broken')
  return (
    <section class="chain" aria-labelledby="chain-title">
      <h3 id="chain-title">Chain of keys</h3>
      <p role="status" class={broken === undefined ? 'quiet' : 'tone-bad'}>
        {summaryOf(found, steps, broken)}
      </p>
      <ol class="chain-steps">
        {steps.map((step) => (
          <Step key={step.short} step={step} />
        ))}
      </ol>
    </section>
  )
}

function summaryOf(
  found: ExplainedObject,
  steps: readonly ChainStep[],
  broken: ChainStep | undefined,
): string {
  if (found.kind === 'none') return 'The object is not encrypted: no key is between the drive and a reader.'
  if (broken !== undefined) {
    const reason = broken.reason === undefined ? '' : `: ${visibleText(broken.reason)}`
    return `The chain breaks at the ${broken.short}${reason}.`
  }
  if (steps.every(({ health }) => health === 'open')) return 'The chain opens, down to the content.'
  return 'Whether the chain opens can’t be told without the client’s key.'
}

const SIGNS: Readonly<Record<Health, readonly [icon: IconName, text: string]>> = {
  open: ['check', 'opens'],
  broken: ['close', 'breaks here'],
  closed: ['lock', 'out of reach'],
}

function Step({ step }: { readonly step: ChainStep }) {
  const [icon, text] = SIGNS[step.health]
  return (
    <li class={`chain-step ${step.health}`}>
      {step.from !== undefined && <span class="chain-link">{step.from}</span>}
      <div class="chain-box">
        <b>{step.short}</b>
        <span class="chain-title">
          <Name text={step.title} />
        </span>
        <span class={`home home-${step.home.replace(' ', '-')}`}>{step.home}</span>
        <span class="quiet">{step.text}</span>
        <span class="chain-health">
          <Icon name={icon} />
          {text}
        </span>
        {step.health === 'broken' && step.reason !== undefined && (
          <span class="chain-reason">
            <Name text={step.reason} />
          </span>
        )}
      </div>
    </li>
  )
}
