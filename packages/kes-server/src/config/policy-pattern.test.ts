import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { API_PATHS } from './api-paths.ts'
import { correctPattern, matchesSomeApi } from './policy-pattern.ts'

test.each([
  ['', /API paths such as/],
  ['/v1/policy/write/*', /config file/],
  ['/v1/identity/forget/x', /config file/],
  ['/v1/policy/show/*', /'\/v1\/policy\/describe\/' or '\/v1\/policy\/read\/'/],
  ['/v1/key/bulk/decrypt/my-key', /'\/v1\/key\/decrypt\/'/],
  ['/v1/secret/*', /no secrets/],
  ['/v1/log/audit/trace', /'\/v1\/log\/audit'/],
  ['v1/key/*', /write '\/v1\/key\/\*'/],
  ['/v1/status ', /write '\/v1\/status'/],
  [' v1/status', /write '\/v1\/status'/],
  ['/V1/KEY/*', /write '\/v1\/key\/\*'/],
  ['/v1/Key/Create/My-App*', /write '\/v1\/key\/create\/My-App\*'/],
  ['/v1/key/**', /write '\/v1\/key\/\*'/],
  ['/v1/key/create/', /write '\/v1\/key\/create\/\*'/],
  ['/v1/key/list', /write '\/v1\/key\/list\/\*'/],
  ['/v1/key/*/my-app', /only a '\*' at the end/],
  ['/v1/key/*/my-app*', /only a '\*' at the end/],
  ['/v1/key/create/my-ap?', /only '\*' at the end/],
  ['/v1/key/{create,generate}/my-app', /only '\*' at the end/],
  ['/v1/key/create/my-app*/x', /only a '\*' at the end/],
  ['/v1/key/create/a.b', /names have 1 to 80/],
  ['/v1/key/create/a/*', /names have 1 to 80/],
  [`/v1/key/create/${'a'.repeat(81)}`, /names have 1 to 80/],
  [`/v1/key/create/${'a'.repeat(81)}*`, /names have 1 to 80/],
  ['/v1/key/creates/my-app', /'\/v1\/key\/create\/\*'/],
  ['/v1/statuss', /write '\/v1\/status'/],
  ['$' + '{PATTERN}', /environment variables/],
])('%j matches nothing, and the hint says what to write', (pattern, hint) => {
  expect(correctPattern(pattern)).toMatch(hint)
})

test.each([
  '*',
  '/*',
  '/v1*',
  '/v1/key/*',
  '/v1/key/create/my-app',
  '/v1/key/create/my-app*',
  '/v1/key/create/my-*',
  `/v1/key/create/${'a'.repeat(80)}*`,
  '/v1/key/list/',
  '/v1/key/list/*',
  '/v1/key/list/my*',
  '/v1/key/list/**',
  '/v1/key/disable/*',
  '/v1/identity/self/describe',
  '/version',
])('%s matches some API', (pattern) => {
  expect(correctPattern(pattern)).toBeUndefined()
})

test('every API path is matched by itself, or by itself and a name', () => {
  for (const path of API_PATHS) expect(matchesSomeApi(path.endsWith('/') ? `${path}x` : path)).toBe(true)
})

test('a pattern by which KES allowed a real request is never called dead', () => {
  const file = new URL('../../../../test/vectors/kes/policy-decisions.json', import.meta.url)
  const { policies, rows } = JSON.parse(readFileSync(file, 'utf8')) as Decisions
  for (const { name, allow } of policies) {
    const [pattern = '', second] = allow
    const allowed = rows.filter((row) => row.policy === name && row.allowed && matchesSomeApi(row.path))
    if (second === undefined && allowed.length > 0)
      expect([pattern, correctPattern(pattern)]).toEqual([pattern, undefined])
  }
})

interface Decisions {
  readonly policies: readonly { readonly name: string; readonly allow: readonly string[] }[]
  readonly rows: readonly { readonly policy: string; readonly path: string; readonly allowed: boolean }[]
}
