/** The chain of keys of an object as steps to draw, from what the node says of each stage. */
import type { ExplainedObject, Stage } from '../net/node.ts'
import { formatBytes } from '../text/format.ts'

/** `broken`: it does not open, and this is where. `closed`: it would, if a step before did. */
export type Health = 'open' | 'broken' | 'closed'

export interface ChainStep {
  readonly short: string
  readonly title: string
  readonly home: 'key server' | 'client' | 'metadata' | 'memory only' | 'drive'
  readonly text: string
  readonly health: Health
  /** Why it is broken. */
  readonly reason?: string
  /** How one comes here from the step before. */
  readonly from?: string
}

/** @param keyState - of the external key, as the watch has it; undefined if it is not known. */
export function chainSteps(found: ExplainedObject, keyState: string | undefined): readonly ChainStep[] {
  const content = contentStep(found)
  if (found.kind === 'none') return [content]
  const dataKey = stageOf(found, 'data key')
  const objectKey = stageOf(found, 'object key')
  const first = found.kind === 'SSE-C' ? customerStep(objectKey) : undefined
  const isDerived = found.kind === 'SSE-C' ? objectKey.outcome !== 'not tried' : dataKey.outcome === 'opens'
  return [
    ...(first === undefined ? externalSteps(found, keyState, dataKey) : [first]),
    {
      short: 'KEK',
      title: 'key-encryption key',
      home: 'memory only',
      text: 'Derived for one request, bound to the object’s path. Stored nowhere.',
      health: isDerived ? 'open' : 'closed',
      from: 'derives',
    },
    {
      short: 'OEK',
      title: 'object key',
      home: 'metadata',
      text: `Sealed under the KEK${found.sealedKeyBytes === undefined ? '' : `, ${formatBytes(found.sealedKeyBytes)}`}.`,
      from: 'unseals',
      ...healthOf(objectKey),
    },
    content,
  ]
}

function customerStep({ outcome }: Stage): ChainStep {
  return {
    short: 'SSE-C',
    title: 'the client’s key',
    home: 'client',
    text: 'Comes with each request, and is not kept. No lock of an external key concerns it.',
    health: outcome === 'not tried' ? 'closed' : 'open',
  }
}

function externalSteps(
  found: ExplainedObject,
  keyState: string | undefined,
  dataKey: Stage,
): readonly ChainStep[] {
  // A key that was erased before this session is in no list, but the node was told.
  const lock = keyState === undefined || keyState === 'enabled' ? dataKey.keyState : keyState
  const isLocked = lock !== undefined && dataKey.outcome !== 'opens'
  const size = found.dataKeyBytes === undefined ? '' : `, ${formatBytes(found.dataKeyBytes)}`
  return [
    {
      short: 'EK',
      title: `external key ${found.externalKey ?? ''}`,
      home: 'key server',
      text: 'Never leaves it.',
      health: isLocked ? 'broken' : 'open',
      ...(isLocked && { reason: `the key is ${lock === 'pending' ? 'pending deletion' : lock}` }),
    },
    {
      short: 'DEK',
      title: 'data key',
      home: 'metadata',
      text: `As the key server encrypted it${size}. In plaintext in the node’s memory, for one request.`,
      from: 'decrypts',
      // It is whole, but what opens it is locked.
      ...(isLocked ? { health: 'closed' as const } : healthOf(dataKey)),
    },
  ]
}

function contentStep(found: ExplainedObject): ChainStep {
  const cipher = found.parts.find(({ dare }) => dare !== undefined)?.dare?.cipher
  const isPlain = found.kind === 'none'
  return {
    short: isPlain ? 'Content' : 'Data',
    title: 'content',
    home: 'drive',
    text: isPlain
      ? `${formatBytes(found.storedBytes)}, in the clear.`
      : `${formatBytes(found.storedBytes)} in packages${cipher === undefined ? '' : ` of ${cipher}`}.`,
    ...(!isPlain && { from: 'decrypts' }),
    ...healthOf(stageOf(found, 'content')),
  }
}

function stageOf(found: ExplainedObject, name: string): Stage {
  return found.stages.find((stage) => stage.name === name) ?? { name, outcome: 'not tried' }
}

function healthOf({ outcome, reason }: Stage): Pick<ChainStep, 'health' | 'reason'> {
  if (outcome === 'opens') return { health: 'open' }
  if (outcome === 'not tried') return { health: 'closed' }
  return { health: 'broken', ...(reason !== undefined && { reason }) }
}
