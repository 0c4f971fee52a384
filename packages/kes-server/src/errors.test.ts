// Every error class of the server against the table in docs/errors.md, both ways.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { EVERY_ERROR } from '../../../test/every-error.ts'
import * as errors from './errors.ts'

/** Without the console's own. */
const [DOCUMENT = ''] = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8').split(
  "\n## The console's own\n",
)

/** `status code message`, one for each message of each row. */
function documented(): string[] {
  const rows = DOCUMENT.matchAll(/^\| (\d{3}) \| `(\w+)` \| (.+?) \| .* \| .*\|$/gm)
  return [...rows].flatMap(([, status, code, messages = '']) =>
    messages.split('<br>').map((message) => `${status} ${code} ${message.replace(/^`(.*)`$/, '$1')}`),
  )
}

const instances = Object.values(EVERY_ERROR).flat()

test('every exported error class has an instance here', () => {
  const classes = Object.entries(errors).filter(([, each]) => each.prototype instanceof errors.KesError)
  expect(classes.map(([name]) => name).sort()).toEqual(Object.keys(EVERY_ERROR).sort())
})

test('docs/errors.md has the status, code and message of every error, and no others', () => {
  const existing = instances.map(({ status, code, message }) => `${status} ${code} ${message}`)
  expect(documented().sort()).toEqual(existing.sort())
})

test('docs/errors.md has one row for each code', () => {
  const codes = [...DOCUMENT.matchAll(/^\| \d{3} \| `(\w+)`/gm)].map(([, code]) => code)
  expect(new Set(codes).size).toBe(codes.length)
  expect(codes.length).toBe(new Set(instances.map(({ code }) => code)).size)
})

test('an error is named after its class, so that a log tells it', () => {
  const names = Object.entries(EVERY_ERROR).flatMap(([name, each]) => each.map((error) => [name, error.name]))
  for (const [name, own] of names) expect(own).toBe(name)
})

test('what only the log may say is in no message', () => {
  const error = new errors.NotAllowedError({ detail: 'the deciding rule', cause: new Error('the reason') })
  expect(error.message).not.toMatch(/rule|reason/)
  expect(error).toMatchObject({ detail: 'the deciding rule', cause: { message: 'the reason' } })
})
