import { expect, test } from 'vitest'
import { API_PATHS } from '../config/api-paths.ts'
import { APIS } from './routes.ts'

test('every API can be named in the config, and nothing else', () => {
  expect([...API_PATHS].sort()).toEqual(APIS.map(({ path }) => path).sort())
})

test('no two APIs share a path', () => {
  expect(new Set(APIS.map(({ path }) => path)).size).toBe(APIS.length)
})

test('only the version is public, and only the own identity needs no policy', () => {
  const open = APIS.filter(({ access }) => access !== 'policy').map(({ path, access }) => [path, access])
  expect(open).toEqual([
    ['/version', 'public'],
    ['/v1/identity/self/describe', 'identity'],
  ])
})
