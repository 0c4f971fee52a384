/**
 * The life of one key name, as the documents promise it: what each call answers in each state, and what it leads to.
 * `docs/wire.md` and the README's table of states, as a program.
 */

/** `untold`: erased, and no delete has been answered so since: its time was over, or the disk took too long. */
export type Phase = 'none' | 'enabled' | 'disabled' | 'pending' | 'erased' | 'untold'

export interface Life {
  readonly phase: Phase
  /** How many keys have had the name. */
  readonly incarnation: number
  readonly revision: number
  /** What the journal says of all of them. */
  readonly history: readonly string[]
  /** Whether the deletion that is scheduled is due in a moment. */
  readonly isSoon: boolean
}

export const BEGINNING: Life = { phase: 'none', incarnation: 0, revision: 0, history: [], isSoon: false }

export const CHANGES = [
  'create',
  'reuse',
  'import',
  'enable',
  'disable',
  'delete',
  'delete in a week',
  'delete soon',
  'cancel',
] as const
export type Change = (typeof CHANGES)[number]

/** What a call answers: the status, and the code of an error. */
export interface Answer {
  readonly status: number
  readonly code?: string
}

const DONE: Answer = { status: 200 }
const NOT_FOUND: Answer = { status: 404, code: 'KeyNotFound' }
const EXISTS: Answer = { status: 400, code: 'KeyExists' }
const RESERVED: Answer = { status: 400, code: 'KeyNameReserved' }
const WRONG_STATE: Answer = { status: 409, code: 'WrongState' }
const ERASE_PENDING: Answer = { status: 503, code: 'ErasePending' }
const TOO_SHORT: Answer = { status: 400, code: 'WaitingPeriodTooShort' }

export interface Step {
  readonly answer: Answer
  readonly next: Life
}

/**
 * All that a call may answer. More than one thing only of an erasure, for which the disk may take longer than the call
 * waits; then the news is owed.
 *
 * @param hasWaitingPeriod - whether the config asks for a week.
 */
export function stepsFrom(life: Life, change: Change, hasWaitingPeriod: boolean): Step[] {
  const usual = step(life, change, hasWaitingPeriod)
  if (usual.answer !== DONE || usual.next.phase !== 'erased') return [usual]
  return [usual, { answer: ERASE_PENDING, next: { ...usual.next, phase: 'untold' } }]
}

function step(life: Life, change: Change, hasWaitingPeriod: boolean): Step {
  switch (change) {
    case 'create':
    case 'reuse':
    case 'import':
      return make(life, change)
    case 'enable':
    case 'disable':
      return switchTo(life, change)
    case 'delete':
      return hasWaitingPeriod ? schedule(life, false) : erase(life)
    case 'delete in a week':
      return schedule(life, false)
    case 'delete soon':
      if (hasWaitingPeriod && life.phase !== 'untold') return { answer: TOO_SHORT, next: life }
      return schedule(life, true)
    case 'cancel':
      return cancel(life)
  }
}

function isThere({ phase }: Life): boolean {
  return phase === 'enabled' || phase === 'disabled' || phase === 'pending'
}

function make(life: Life, change: 'create' | 'reuse' | 'import'): Step {
  if (isThere(life)) return { answer: EXISTS, next: life }
  const isReserved = life.phase === 'erased' || life.phase === 'untold'
  if (isReserved && change !== 'reuse') return { answer: RESERVED, next: life }
  const action = change === 'reuse' && !isReserved ? 'create' : change
  const { incarnation, history } = life
  return {
    answer: DONE,
    next: {
      phase: 'enabled',
      incarnation: incarnation + 1,
      revision: 1,
      history: [...history, action],
      isSoon: false,
    },
  }
}

function switchTo(life: Life, change: 'enable' | 'disable'): Step {
  if (!isThere(life)) return { answer: NOT_FOUND, next: life }
  if (life.phase === 'pending') return { answer: WRONG_STATE, next: life }
  const phase = `${change}d` as const
  return { answer: DONE, next: life.phase === phase ? life : changed(life, phase, change) }
}

function erase(life: Life): Step {
  if (life.phase === 'untold') return { answer: DONE, next: { ...life, phase: 'erased' } }
  if (!isThere(life)) return { answer: NOT_FOUND, next: life }
  if (life.phase === 'pending') return { answer: WRONG_STATE, next: life }
  return { answer: DONE, next: changed(life, 'erased', 'erase') }
}

function schedule(life: Life, isSoon: boolean): Step {
  if (!isThere(life) || life.phase === 'pending') return erase(life)
  return { answer: DONE, next: { ...changed(life, 'pending', 'schedule'), isSoon } }
}

function cancel(life: Life): Step {
  if (!isThere(life)) return { answer: NOT_FOUND, next: life }
  if (life.phase !== 'pending') return { answer: WRONG_STATE, next: life }
  return { answer: DONE, next: changed(life, 'disabled', 'cancel') }
}

function changed(life: Life, phase: Phase, action: string): Life {
  return {
    ...life,
    phase,
    revision: life.revision + 1,
    history: [...life.history, action],
    isSoon: false,
  }
}

/** What is due is erased by the server. */
export function afterDeletions(life: Life): Life {
  return life.phase === 'pending' && life.isSoon ? changed(life, 'untold', 'erase') : life
}

/** What may be so after a call that was never answered: its server was killed. */
export function afterSilence(life: Life, change: Change, hasWaitingPeriod: boolean): Life[] {
  return [life, ...stepsFrom(life, change, hasWaitingPeriod).map(({ next }) => next)]
}

/** What describe shows; undefined if there is no such key. */
export function described({ phase, revision }: Life): { state: string; revision: number } | undefined {
  return phase === 'enabled' || phase === 'disabled' || phase === 'pending'
    ? { state: phase, revision }
    : undefined
}

/** What a use answers. @param incarnation - of the key that made the ciphertext; undefined for *generate*. */
export function answerToUse(life: Life, incarnation: number | undefined): Answer {
  switch (life.phase) {
    case 'enabled':
      return incarnation === undefined || incarnation === life.incarnation
        ? DONE
        : { status: 400, code: 'NotAuthentic' }
    case 'disabled':
      return { status: 403, code: 'KeyDisabled' }
    case 'pending':
      return { status: 403, code: 'KeyPendingDeletion' }
    default:
      return NOT_FOUND
  }
}
