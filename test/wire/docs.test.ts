// docs/wire.md: its table against the server's, and its examples against a server, in the order of the document.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { APIS } from '../../packages/kes-server/src/http/routes.ts'
import { startTestServer } from '../sandbox/server.ts'

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/wire.md'), 'utf8')

interface Example {
  readonly method: string
  readonly path: string
  readonly body: string | undefined
  readonly status: number
  readonly contentType: string | undefined
  /** As the document has it, with `…` for anything. */
  readonly reply: string
}

/** Request line, perhaps a body, an empty line, status and content type, perhaps a reply. */
const EXAMPLE = /^```http\n(\w+) (\S+)\n(?:(\S.*)\n)?\n(\d{3})(?: (\S+))?\n([\s\S]*?)```$/gm

const examples = [...DOCUMENT.matchAll(EXAMPLE)].map(
  ([, method = '', path = '', body, status, contentType, reply = '']): Example => ({
    method,
    path,
    body,
    status: Number(status),
    contentType,
    reply: reply.trimEnd(),
  }),
)

function matcherOf(reply: string): RegExp {
  const literal = reply.split('…').map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${literal.join('.*?')}$`)
}

/** `<name>` is that field of the reply before. */
function fillIn(body: string | undefined, before: string): string | undefined {
  return body?.replace(/<(\w+)>/g, (_, name: string) => JSON.parse(before)[name])
}

test('the table has every API, with its limits and access', () => {
  const rows = [
    ...DOCUMENT.matchAll(/^\| (GET|PUT|DELETE) \| `(\S+)` \| (\d*) ?\| (?:(\d+) s|none) \| (\w+) \|$/gm),
  ]
  const documented = rows.map(([, method, path, maxBody, seconds, access]) => ({
    method,
    path,
    maxBody: Number(maxBody),
    timeoutMs: Number(seconds ?? 0) * 1000,
    access,
  }))
  expect(documented).toEqual(
    APIS.map(({ method, path, maxBody, timeoutMs, access, adminOnly }) => ({
      method,
      path,
      maxBody,
      timeoutMs,
      access: adminOnly === undefined ? access : 'admin',
    })),
  )
})

test('every example answers what the document says', async () => {
  expect(examples).toHaveLength(DOCUMENT.match(/^```http$/gm)?.length ?? 0)
  await using server = await startTestServer({
    policies: {
      'my-app': { allow: ['/v1/key/generate/my-app*'], deny: ['/v1/key/generate/my-app-internal'] },
    },
  })
  let before = ''
  for (const { method, path, body, status, contentType, reply } of examples) {
    const {
      status: found,
      headers,
      rawBody,
    } = await server.request(method, path, { body: fillIn(body, before) })
    before = rawBody.toString()
    const request = `${method} ${path}`
    expect([request, found, headers['content-type']]).toEqual([request, status, contentType])
    expect(before.trimEnd()).toMatch(matcherOf(reply))
  }
})
