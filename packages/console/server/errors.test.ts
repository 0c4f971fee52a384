// Every refusal of the console's own against the table in docs/errors.md, both ways.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REFUSAL_CODES, refusal } from './errors.ts'

const DOCUMENT = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')

test("docs/errors.md has the status, code and message of every refusal of the console's own, and no others", () => {
  const [, section = ''] = DOCUMENT.split("## The console's own\n")
  const rows = [...section.matchAll(/^\| (\d+) \| `(\w+)` \| `([^`]+)` \|/gm)].map(([, ...row]) =>
    row.join(' '),
  )
  const refusals = REFUSAL_CODES.map(refusal).map(
    ({ status, code, message }) => `${status} ${code} ${message}`,
  )
  expect(rows.toSorted()).toEqual(refusals.toSorted())
})
