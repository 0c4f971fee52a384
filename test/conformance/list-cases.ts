/** Lists, policies and identities: sections 8 and 9 of KES's protocol. */
import { badPattern, type Case, error, json } from './case.ts'
import { APP_ALLOW, APP_DENY, recordedKeys, recordedPolicies, storedKeys } from './server-under-test.ts'

const get = (path: string, as?: 'app' | 'nobody') => ({
  method: 'GET',
  path,
  ...(as === undefined ? {} : { as }),
})

function one(
  section: string,
  title: string,
  path: string,
  expected: Case['expected'],
  differs?: string,
): Case {
  return { section, title, requests: [get(path)], expected, ...(differs === undefined ? {} : { differs }) }
}

const NAMES = [
  ...recordedKeys.map(({ name }) => name),
  ...storedKeys.filter(({ valid }) => valid).map(({ id }) => id),
]
const POLICIES = ['my-app', 'none', 'ops', ...recordedPolicies.map(({ name }) => name)].sort()

function names(prefix: string): string {
  return JSON.stringify(NAMES.filter((name) => name.startsWith(prefix)).sort())
}

function policies(prefix: string): string {
  return JSON.stringify(POLICIES.filter((name) => name.startsWith(prefix)))
}

const KEYS: Case[] = [
  ...['vec-', 'vec-c', 'vec-chacha20-1', 'stored-00', 'nothing'].map((prefix) =>
    prefix.endsWith('-')
      ? one(
          'Lists of keys',
          'a prefix that ends in a hyphen is no pattern',
          `/v1/key/list/${prefix}`,
          badPattern(prefix),
        )
      : one(
          'Lists of keys',
          'all names with a prefix, sorted',
          `/v1/key/list/${prefix}`,
          json(`{"names":${names(prefix)}}`),
        ),
  ),
  ...['vec-*', 'vec-chacha20*', 'stored-0*', 'nothing*'].map((pattern) =>
    one(
      'Lists of keys',
      'a star at the end',
      `/v1/key/list/${pattern}`,
      json(`{"names":${names(pattern.slice(0, -1))}}`),
      'list-star',
    ),
  ),
  one('Lists of keys', 'a key that was erased is not listed', '/v1/key/list/erased', json('{"names":[]}')),
  one(
    'Lists of keys',
    'a key that is disabled is listed',
    '/v1/key/list/locked',
    json('{"names":["locked"]}'),
  ),
  one('Lists of keys', 'a query is ignored', '/v1/key/list/locked?limit=1', json('{"names":["locked"]}')),
]

const BY_ADMIN = '"created_at":"<time>","created_by":"<admin>"'
const rules = (patterns: readonly string[]) =>
  JSON.stringify(Object.fromEntries(patterns.toSorted().map((pattern) => [pattern, {}])))
const NO_POLICY = error(404, 'policy does not exist', 'PolicyNotFound')

const POLICY: Case[] = [
  one(
    'Policies, read',
    'the name, and when the server was started',
    '/v1/policy/describe/my-app',
    json(`{"name":"my-app",${BY_ADMIN}}`),
  ),
  one(
    'Policies, read',
    'the rules, sorted',
    '/v1/policy/read/my-app',
    json(`{"name":"my-app","allow":${rules(APP_ALLOW)},"deny":${rules(APP_DENY)},${BY_ADMIN}}`),
  ),
  one(
    'Policies, read',
    'no deny',
    '/v1/policy/read/ops',
    json(`{"name":"ops","allow":${rules(['/v1/metrics'])},${BY_ADMIN}}`),
  ),
  one('Policies, read', 'neither', '/v1/policy/read/none', json(`{"name":"none",${BY_ADMIN}}`)),
  one('Policies, read', 'no such policy', '/v1/policy/describe/nope', NO_POLICY),
  one('Policies, read', 'no such policy', '/v1/policy/read/nope', NO_POLICY),
  ...['', '*', 'my', 'my-*', 'o', 'nope'].map((pattern) =>
    one(
      'Policies, read',
      'a list, with or without a star',
      `/v1/policy/list/${pattern}`,
      json(`{"names":${policies(pattern.replace(/\*$/, ''))},"continue_at":""}`),
    ),
  ),
]

const NO_IDENTITY = error(404, 'identity does not exist', 'IdentityNotFound')

function identity(
  title: string,
  path: string,
  expected: Case['expected'],
  fill: Record<string, string> = {},
): Case {
  return { section: 'Identities', title, requests: [{ method: 'GET', path, fill }], expected }
}

const IDENTITIES: Case[] = [
  identity('the admin', '/v1/identity/describe/<admin>', json('{"admin":true,"created_at":"<time>"}')),
  identity('somebody with a policy', '/v1/identity/describe/<app>', json(`{"policy":"my-app",${BY_ADMIN}}`)),
  identity('nobody', `/v1/identity/describe/${'ab'.repeat(32)}`, NO_IDENTITY),
  identity(
    'the list has the admin',
    '/v1/identity/list/<admin>',
    json('{"identities":["<admin>"],"continue_at":""}'),
  ),
  identity(
    'a star at the end',
    '/v1/identity/list/<app>*',
    json('{"identities":["<app>"],"continue_at":""}'),
  ),
  identity('nobody with this prefix', '/v1/identity/list/nobody', json('{"identities":[],"continue_at":""}')),
  identity(
    'the admin, of himself',
    '/v1/identity/self/describe',
    json('{"identity":"<admin>","admin":true,"created_at":"<time>"}'),
  ),
  {
    section: 'Identities',
    title: 'somebody with a policy, of himself',
    requests: [get('/v1/identity/self/describe', 'app')],
    expected: json(
      `{"identity":"<app>",${BY_ADMIN},"policy":"my-app","allow":${rules(APP_ALLOW)},"deny":${rules(APP_DENY)}}`,
    ),
    differs: 'self-describe',
  },
  {
    section: 'Identities',
    title: 'somebody without a policy, of himself',
    requests: [get('/v1/identity/self/describe', 'nobody')],
    expected: NO_IDENTITY,
  },
]

export const LIST_CASES: readonly Case[] = [...KEYS, ...POLICY, ...IDENTITIES]
