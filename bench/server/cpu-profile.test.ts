import { expect, test } from 'vitest'
import { type CpuProfile, topSelfTimes } from './cpu-profile.ts'

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber })

const profile: CpuProfile = {
  startTime: 1_000_000,
  nodes: [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('seal', 'file:///x/ciphertext.ts', 9) },
    { id: 3, callFrame: frame('', 'node:http2', 0) },
    { id: 4, callFrame: frame('seal', 'file:///x/ciphertext.ts', 9) },
  ],
  samples: [1, 2, 3, 4],
  timeDeltas: [5000, 200, 100, 100],
}

test('shares are of the time that was not idle, and nodes of one function count together', () => {
  expect(topSelfTimes(profile, 0, 5)).toEqual([
    { place: 'seal  ciphertext.ts:10', share: 0.75 },
    { place: '(anonymous)  node:http2:1', share: 0.25 },
  ])
  expect(topSelfTimes(profile, 0, 1)).toHaveLength(1)
})

test('what was sampled before the time that is asked for is left out', () => {
  expect(topSelfTimes(profile, 1_005_300, 5)).toEqual([
    { place: '(anonymous)  node:http2:1', share: 0.5 },
    { place: 'seal  ciphertext.ts:10', share: 0.5 },
  ])
})
