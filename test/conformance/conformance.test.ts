/**
 * Whether this server answers as the Go KES does: every case of the table, over both versions of HTTP. The table stands
 * in docs/conformance.md: `UPDATE_DOCS=1` writes it anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROTOCOLS, type Protocol } from '../sandbox/server.ts'
import { sleep } from '../wire/raw-http.ts'
import { ACCESS_CASES } from './access-cases.ts'
import { fillIn, whatIsWrong } from './answer.ts'
import { BODY_CASES } from './body-cases.ts'
import type { Case, Request } from './case.ts'
import { documentOf, rowOfCase, rowOfScenario } from './document.ts'
import { KEY_CASES } from './key-cases.ts'
import { LIST_CASES } from './list-cases.ts'
import { NAME_CASES } from './name-cases.ts'
import { OPERATION_CASES } from './operation-cases.ts'
import { ROUTING_CASES } from './routing-cases.ts'
import { SCENARIOS } from './scenarios.ts'
import { type ServerUnderTest, startServerUnderTest } from './server-under-test.ts'
import { VECTOR_CASES } from './vector-cases.ts'

const DOCUMENT = new URL('../../docs/conformance.md', import.meta.url)
const DIFFERENCES = new URL('../../docs/differences.md', import.meta.url)

/** Differences that the rows don't repeat. */
const OF_EVERY_REPLY = ['error-codes', 'content-length']

const CASES: readonly Case[] = [
  ...ROUTING_CASES,
  ...ACCESS_CASES,
  ...NAME_CASES,
  ...KEY_CASES,
  ...LIST_CASES,
  ...BODY_CASES,
  ...OPERATION_CASES,
  ...VECTOR_CASES,
]
const ASKED_MAX = 10
const sections = Object.entries(Object.groupBy(CASES, ({ section }) => section))

describe.each(PROTOCOLS)('over %s', (protocol) => {
  let underTest: ServerUnderTest

  beforeAll(async () => {
    underTest = await startServerUnderTest()
  })

  afterAll(() => underTest[Symbol.asyncDispose]())

  test.each(sections)('%s: every reply is the one in the table', async (_, cases = []) => {
    const wrong: string[] = []
    for (const each of cases) wrong.push(...(await problemsOf(underTest, protocol, each)))
    expect(wrong).toEqual([])
  })

  test.each(SCENARIOS)('$section: $title', async ({ run, expected }) => {
    expect(await run(underTest.server, protocol)).toBe(expected)
  })
})

async function problemsOf(underTest: ServerUnderTest, protocol: Protocol, each: Case): Promise<string[]> {
  const wrong: string[] = []
  const { server, callerOf } = underTest
  const known = { admin: server.admin.identity, app: callerOf('app')?.identity ?? '' }
  const send = ({ method, path, as = 'admin', body, headers = {} }: Request) =>
    server.request(method, fillIn(path, known), { protocol, as: callerOf(as), body, headers })
  for (const request of each.before ?? []) {
    const { status } = await send(request)
    if (status !== 200) wrong.push(`before: ${request.method} ${request.path}: ${status}`)
  }
  for (const request of each.requests) {
    const fill = { ...known, ...request.fill }
    let problem = whatIsWrong(await send(request), each.expected, { ...request, fill })
    for (let tries = 1; problem !== undefined && each.asksDisk && tries < ASKED_MAX; tries += 1) {
      await sleep(100)
      problem = whatIsWrong(await send(request), each.expected, { ...request, fill })
    }
    if (problem !== undefined) wrong.push(problem)
  }
  return wrong
}

test('docs/conformance.md is what this run makes', () => {
  const rows = [...CASES.map(rowOfCase), ...SCENARIOS.map(rowOfScenario)]
  const document = documentOf(rows, PROTOCOLS)
  if (process.env.UPDATE_DOCS) writeFileSync(DOCUMENT, document)
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(document)
  expect(rows.reduce((sum, { requests }) => sum + requests, 0)).toBeGreaterThan(400)
})

test('every difference has its row in docs/differences.md, and every row with an anchor its case', () => {
  const anchors = [...readFileSync(DIFFERENCES, 'utf8').matchAll(/<a id="([^"]+)"><\/a>/g)].map(
    ([, id]) => id,
  )
  const named = [...CASES, ...SCENARIOS].flatMap(({ differs }) => differs ?? [])
  expect([...new Set([...named, ...OF_EVERY_REPLY])].sort()).toEqual(anchors.sort())
})
