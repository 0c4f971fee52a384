import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { Secret } from './secret.ts'

test('no way of printing a secret shows it', () => {
  const secret = new Secret('canary')
  const printed = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }, { showHidden: true }),
  ]
  expect(printed.join()).not.toContain('canary')
  expect(Object.keys(secret)).toEqual([])
  expect(secret.reveal()).toBe('canary')
})
