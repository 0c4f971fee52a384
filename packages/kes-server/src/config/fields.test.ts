import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FIELD_PATHS } from './fields.ts'
import { parseConfig } from './load-config.ts'

const DOCUMENT = readFileSync(new URL('../../../../docs/config.md', import.meta.url), 'utf8')

/** What an example that shows one section leaves out. */
const REST: Readonly<Record<string, string>> = {
  admin: 'admin: {identity: disabled}',
  tls: 'tls: {key: k, cert: c}',
  keystore: 'keystore: {fs: {path: ./keys}}',
}

function examples(): string[] {
  return [...DOCUMENT.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
}

/** Every variable that an example names is set, each to another value. */
const ENV = Object.fromEntries(
  [...DOCUMENT.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name = '']) => [name, name]),
)

test('the first example of docs/config.md is complete, and loads without a warning', () => {
  const [complete = ''] = examples()
  expect(parseConfig(complete, { file: 'docs/config.md', env: ENV, strict: true }).warnings).toEqual([])
})

test('every example of docs/config.md loads without a warning', () => {
  expect(examples().length).toBeGreaterThan(5)
  for (const example of examples()) {
    const missing = Object.entries(REST).filter(([section]) => !new RegExp(`^${section}:`, 'm').test(example))
    const text = [example, ...missing.map(([, rest]) => rest)].join('\n')
    expect(parseConfig(text, { file: 'docs/config.md', env: ENV, strict: true }).warnings).toEqual([])
  }
})

test('docs/config.md has a row for every field, and for nothing else', () => {
  const rows = [...DOCUMENT.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1])
  expect(rows.toSorted()).toEqual(FIELD_PATHS.toSorted())
})
