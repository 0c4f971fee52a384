import { expect, test } from 'vitest'
import type { ExplainedObject, Stage } from '../net/node.ts'
import { chainSteps } from './chain-steps.ts'

const OPEN: readonly Stage[] = ['metadata', 'data key', 'object key', 'content'].map((name) => ({
  name,
  outcome: 'opens',
}))

function explained(kind: string, stages: readonly Stage[]): ExplainedObject {
  const facts = { bucket: 'b', key: 'k', size: 1, storedBytes: 33, modifiedAt: '', keys: 'one', parts: [] }
  return { ...facts, kind, externalKey: 'invoices', stages }
}

/** `EK open, DEK closed, …` */
function shownOf(found: ExplainedObject, keyState?: string): string {
  return chainSteps(found, keyState)
    .map(({ short, health }) => `${short} ${health}`)
    .join(', ')
}

const fails = (name: string): Stage => ({ name, outcome: 'fails', reason: 'for a reason' })
const closed = (name: string): Stage => ({ name, outcome: 'not tried' })

test('a chain that opens is open down to the content', () => {
  const all = 'EK open, DEK open, KEK open, OEK open, Data open'
  expect(shownOf(explained('SSE-S3', OPEN), 'enabled')).toBe(all)
  expect(shownOf(explained('SSE-KMS', OPEN))).toBe(all)
})

const UNDER_A_LOCK = [fails('data key'), closed('object key'), closed('content')]

test.each([
  ['disabled', 'the key is disabled'],
  ['pending', 'the key is pending deletion'],
  ['erased', 'the key is erased'],
])('under a key that is %s it breaks there, and all behind is out of reach', (state, reason) => {
  const found = explained('SSE-KMS', UNDER_A_LOCK)
  expect(shownOf(found, state)).toBe('EK broken, DEK closed, KEK closed, OEK closed, Data closed')
  expect(chainSteps(found, state)[0]?.reason).toBe(reason)
})

test('a key that was erased before this session breaks the chain as well, as the node says', () => {
  const stages = [
    { ...fails('data key'), keyState: 'erased' as const },
    closed('object key'),
    closed('content'),
  ]
  const found = explained('SSE-S3', stages)
  expect(shownOf(found)).toBe('EK broken, DEK closed, KEK closed, OEK closed, Data closed')
  expect(chainSteps(found, undefined)[0]?.reason).toBe('the key is erased')
})

test('where the key is not locked, as far as is known, it breaks at what does not open', () => {
  const behind = 'KEK closed, OEK closed, Data closed'
  expect(shownOf(explained('SSE-S3', UNDER_A_LOCK), 'enabled')).toBe(`EK open, DEK broken, ${behind}`)
  expect(shownOf(explained('SSE-S3', UNDER_A_LOCK))).toBe(`EK open, DEK broken, ${behind}`)
  const moved = [OPEN[1], fails('object key'), closed('content')].filter((stage) => stage !== undefined)
  expect(shownOf(explained('SSE-S3', moved))).toBe('EK open, DEK open, KEK open, OEK broken, Data closed')
  const torn = [OPEN[1], OPEN[2], fails('content')].filter((stage) => stage !== undefined)
  expect(shownOf(explained('SSE-S3', torn))).toBe('EK open, DEK open, KEK open, OEK open, Data broken')
})

test('a read that the lock has not reached yet is told as it went', () => {
  expect(shownOf(explained('SSE-S3', OPEN), 'disabled')).toContain('EK open, DEK open')
})

test("an object under a client's key has no external key, and does not open without the client", () => {
  const stages = [closed('object key'), closed('content')]
  expect(shownOf(explained('SSE-C', stages))).toBe('SSE-C closed, KEK closed, OEK closed, Data closed')
})

test('an object that is not encrypted is its content', () => {
  expect(shownOf(explained('none', [{ name: 'content', outcome: 'opens' }]))).toBe('Content open')
})
