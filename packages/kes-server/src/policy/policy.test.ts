import { AssertionError } from 'node:assert'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { NotAllowedError } from '../errors.ts'
import { parseIdentity, parsePolicyName } from '../names.ts'
import { Policy, type PolicyDefinition, PolicySet } from './policy.ts'

interface Vectors {
  policies: { name: string; allow: string[]; deny: string[] }[]
  rows: { policy: string; path: string; allowed: boolean }[]
}

const vectors = readVectors<Vectors>('policy-decisions.json')
const recorded = new Map(
  vectors.policies.map(({ name, allow, deny }) => [name, new Policy(parsePolicyName(name), allow, deny)]),
)

const ADMIN = 'ab'.repeat(32)
const alice = parseIdentity('0c'.repeat(32))
const bob = parseIdentity('1d'.repeat(32))
const stranger = parseIdentity('2e'.repeat(32))

function definition(name: string, parts: Partial<PolicyDefinition>): PolicyDefinition {
  return { name: parsePolicyName(name), allow: [], deny: [], identities: [], ...parts }
}

const set = new PolicySet({
  admin: ADMIN,
  policies: [
    definition('users', {
      allow: ['/v1/key/generate/*', '/v1/status'],
      deny: ['/v1/key/generate/internal*', '/v1/version'],
      identities: [bob, alice],
    }),
    definition('nobody', { allow: ['*'] }),
  ],
})

function refusal(action: () => void): NotAllowedError {
  try {
    action()
  } catch (error) {
    if (error instanceof NotAllowedError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a policy', () => {
  test.each(vectors.rows)('$policy decides on $path as KES does: $allowed', ({ policy, path, allowed }) => {
    expect(recorded.get(policy)?.decide(path).allowed).toBe(allowed)
  })

  test('matches as the slow reading of the rules does', () => {
    const text = fc.string({ unit: fc.constantFrom('/', 'a', '*', 'A'), maxLength: 4 })
    const matches = (pattern: string, path: string) =>
      pattern !== '' && (pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern)
    fc.assert(
      fc.property(fc.array(text), fc.array(text), text, (allow, deny, path) => {
        const decision = new Policy(parsePolicyName('p'), allow, deny).decide(path)
        const denied = deny.some((pattern) => matches(pattern, path))
        const allowed = allow.some((pattern) => matches(pattern, path))
        expect(decision.kind).toBe(denied ? 'deny' : allowed ? 'allow' : 'none')
        expect(decision.allowed).toBe(allowed && !denied)
        const rules = denied ? deny : allow
        if (decision.rule !== undefined)
          expect(rules.filter((rule) => matches(rule, path))).toContain(decision.rule)
      }),
    )
  })

  test('names the rule that decides', () => {
    const policy = new Policy(parsePolicyName('p'), ['/a', '/b*'], ['/b/c', '*x'])
    expect(policy.decide('/a')).toEqual({ allowed: true, rule: '/a', kind: 'allow' })
    expect(policy.decide('/b/d')).toEqual({ allowed: true, rule: '/b*', kind: 'allow' })
    expect(policy.decide('/b/c')).toEqual({ allowed: false, rule: '/b/c', kind: 'deny' })
    expect(policy.decide('/x')).toEqual({ allowed: false, rule: undefined, kind: 'none' })
  })
})

describe('authorize', () => {
  test.each([
    ['a caller without identity', undefined, '/v1/status', 'caller has no identity'],
    ['an identity without policy', stranger, '/v1/status', `identity ${stranger} has no policy`],
    ['a path that is denied', alice, '/v1/version', "denied by rule '/v1/version' of policy 'users'"],
    [
      'a path that is denied and allowed',
      bob,
      '/v1/key/generate/internal-1',
      "denied by rule '/v1/key/generate/internal*' of policy 'users'",
    ],
    ['a path that no rule names', bob, '/v1/api', "no rule of policy 'users' allows /v1/api"],
  ])('refuses %s and says why in its detail only', (_, identity, path, detail) => {
    const error = refusal(() => set.authorize(identity, path))
    expect(error.detail).toBe(detail)
    expect(set.isAllowed(identity, path)).toBe(false)
    expect(error.message).toBe('not authorized: insufficient permissions')
  })

  test('lets an allowed path pass', () => {
    expect(() => set.authorize(alice, '/v1/status')).not.toThrow()
    expect(set.isAllowed(alice, '/v1/status')).toBe(true)
    expect(() => set.authorize(bob, '/v1/key/generate/my-key')).not.toThrow()
  })

  test('lets the admin pass everywhere', () => {
    expect(() => set.authorize(parseIdentity(ADMIN), '/v1/anything')).not.toThrow()
  })

  test('knows admin and users that the config file has in upper case', () => {
    const shouting = new PolicySet({
      admin: ADMIN.toUpperCase(),
      policies: [definition('p', { allow: ['*'], identities: [parseIdentity(alice.toUpperCase())] })],
    })
    expect(shouting.isAdmin(parseIdentity(ADMIN))).toBe(true)
    expect(() => shouting.authorize(alice, '/v1/status')).not.toThrow()
    expect(shouting.identities()).toEqual([alice, ADMIN])
  })

  test('takes no hex identity for an admin that is disabled', () => {
    const disabled = new PolicySet({ admin: 'disabled', policies: [] })
    expect(() => disabled.authorize(alice, '/v1/status')).toThrow(NotAllowedError)
    expect(disabled.isAdmin(parseIdentity('DISABLED'))).toBe(false)
  })
})

describe('a set of policies', () => {
  test('lists names and identities sorted, the admin among them', () => {
    expect(set.names()).toEqual(['nobody', 'users'])
    expect(set.identities()).toEqual([alice, bob, ADMIN])
  })

  test('finds policies by name and by identity', () => {
    expect(set.policyOf(alice)).toBe(set.get(parsePolicyName('users')))
    expect(set.policyOf(stranger)).toBeUndefined()
    expect(set.policyOf(parseIdentity(ADMIN))).toBeUndefined()
    expect(set.get(parsePolicyName('constructor'))).toBeUndefined()
  })

  test('is not made of two policies with one name, or with one identity in different case', () => {
    const twice = (first: PolicyDefinition, second: PolicyDefinition) => () =>
      new PolicySet({ admin: ADMIN, policies: [first, second] })
    expect(twice(definition('p', {}), definition('p', {}))).toThrow(AssertionError)
    const upper = parseIdentity(alice.toUpperCase())
    expect(twice(definition('p', { identities: [alice] }), definition('q', { identities: [upper] }))).toThrow(
      AssertionError,
    )
  })
})
