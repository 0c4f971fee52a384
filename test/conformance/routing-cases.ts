/** From a request line to an API: sections 4 and 5 of KES's protocol. */
import { badName, type Case, json, NOT_FOUND, type Request, redirect, wrongMethod } from './case.ts'
import { pathTo, SPEC_APIS } from './spec-apis.ts'

const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']

const OTHER_METHODS: Case[] = SPEC_APIS.map((api) => {
  const accepted: readonly string[] = api.method === 'PUT' ? ['PUT', 'POST'] : [api.method]
  const refused = METHODS.filter((method) => !accepted.includes(method))
  return {
    section: 'Methods',
    title: `${api.path} is for ${accepted.join(' and ')} alone, and says so before it asks who calls`,
    shown: `${refused.join(', ')}; without a certificate`,
    requests: refused.map((method) => ({ method, path: pathTo(api), as: 'none', fill: { method } })),
    expected: wrongMethod(api.method),
    differs: 'allow',
  }
})

const HEADS: Case = {
  section: 'Methods',
  title: 'HEAD is no GET',
  shown: 'HEAD of every API with GET',
  requests: SPEC_APIS.filter(({ method }) => method === 'GET').map((api) => ({
    method: 'HEAD',
    path: pathTo(api),
  })),
  expected: wrongMethod('GET', false),
  differs: 'allow',
}

const UNKNOWN_PATHS: readonly (readonly [title: string, ...paths: string[]])[] = [
  ['the root', '/'],
  [
    'parts of paths',
    '/v1',
    '/v1/',
    '/v1/key',
    '/v1/key/',
    '/v1/policy/',
    '/v1/identity/',
    '/v1/identity/self',
    '/v1/log/',
  ],
  [
    'a slash behind a path that has none',
    ...['/version/', '/v1/ready/', '/v1/status/', '/v1/metrics/', '/v1/api/', '/v1/log/audit/'],
    '/v1/identity/self/describe/',
  ],
  ['another case', '/Version', '/V1/status', '/v1/Status', '/v1/key/Create/a', '/v1/KEY/create/a'],
  ['an escaped slash where a path has one', '/v1%2Fstatus', '/v1/key%2Fcreate/a'],
  [
    'a space, a letter more, another version',
    '/v1/status%20',
    '/v1/statuss',
    '/v2/status',
    '/v0/key/create/a',
  ],
  ['bulk decryption, of KES until 2023', '/v1/key/bulk/decrypt/a', '/v1/key/bulk/decrypt/'],
  [
    'secrets',
    '/v1/secret/create/a',
    '/v1/secret/describe/a',
    '/v1/secret/read/a',
    '/v1/secret/delete/a',
    '/v1/secret/list/',
  ],
  ['enclaves', '/v1/enclave/create/a', '/v1/enclave/describe/a', '/v1/enclave/delete/a'],
  ['log traces, of KES until 2021', '/v1/log/audit/trace', '/v1/log/error/trace'],
  [
    'changes of policies',
    '/v1/policy/write/a',
    '/v1/policy/assign/a',
    '/v1/policy/delete/a',
    '/v1/policy/show/a',
  ],
  ['changes of identities', '/v1/identity/assign/a', '/v1/identity/delete/a', '/v1/identity/forget/a'],
  ['a path of 4000 letters', `/${'a'.repeat(4000)}`],
]

const UNKNOWN: Case[] = UNKNOWN_PATHS.map(([title, ...paths]) => ({
  section: 'Paths that are no API',
  title,
  shown: `GET and PUT, with a certificate and without: ${paths.map((path) => path.slice(0, 40)).join(' ')}`,
  requests: paths.flatMap((path) =>
    (['GET', 'PUT'] as const).flatMap((method) => [
      { method, path },
      { method, path, as: 'none' as const },
    ]),
  ),
  expected: NOT_FOUND,
}))

const REDIRECTED: readonly (readonly [path: string, location: string])[] = [
  ['/v1/key/list', '/v1/key/list/'],
  ['/v1/policy/list', '/v1/policy/list/'],
  ['/v1/identity/list', '/v1/identity/list/'],
  ['/v1/key/list?a=b&c=d', '/v1/key/list/?a=b&c=d'],
  ['/v1/key/create', '/v1/key/create/'],
  ['/v1/key/import', '/v1/key/import/'],
  ['/v1/key/describe', '/v1/key/describe/'],
  ['/v1/key/delete', '/v1/key/delete/'],
  ['/v1/key/generate', '/v1/key/generate/'],
  ['/v1/key/encrypt', '/v1/key/encrypt/'],
  ['/v1/key/decrypt', '/v1/key/decrypt/'],
  ['/v1/key/hmac', '/v1/key/hmac/'],
  ['/v1/policy/describe', '/v1/policy/describe/'],
  ['/v1/policy/read', '/v1/policy/read/'],
  ['/v1/identity/describe', '/v1/identity/describe/'],
  ['//version', '/version'],
  ['/v1//status', '/v1/status'],
  ['/v1/./status', '/v1/status'],
  ['/v1/key/../status', '/v1/status'],
  ['/../../v1/status', '/v1/status'],
  ['/v1/key/describe/a/..', '/v1/key/describe/'],
  ['/v1/key/describe/a/b/..', '/v1/key/describe/a'],
  ['/v1/key/describe/a/.', '/v1/key/describe/a'],
  ['/v1/key/list//', '/v1/key/list/'],
  ['/v1/key//list/a?b=c', '/v1/key/list/a?b=c'],
  ['//', '/'],
  ['/..', '/'],
  ['/nowhere//at/all', '/nowhere/at/all'],
]

const REDIRECTS: Case[] = [
  ...REDIRECTED.map(
    ([path, location]): Case => ({
      section: 'Redirects',
      title: 'a path that is not clean, or lacks its slash, whoever asks',
      requests: (['admin', 'nobody', 'none'] as const).map((as) => ({ method: 'GET', path, as })),
      shown: `GET ${path}`,
      expected: redirect(location),
    }),
  ),
  ...(['PUT', 'POST', 'DELETE', 'HEAD'] as const).map(
    (method): Case => ({
      section: 'Redirects',
      title: 'other methods have no body',
      requests: [{ method, path: '/v1/key//create/a' }],
      expected: redirect('/v1/key/create/a', false),
    }),
  ),
]

/** Another way to write the same path or argument. */
const SAME: readonly Request[] = [
  ...['stored%2D001', '%73tored%2d001', 'stored-001?ignored=1', 'stored-001?name=other'],
].map((argument) => ({ method: 'GET', path: `/v1/key/describe/${argument}` }))

const ESCAPES: Case[] = [
  {
    section: 'Escapes',
    title: 'escapes, and a query, change nothing of a name or of a path',
    requests: [...SAME, { method: 'GET', path: '/v1/key/d%65scribe/stored-001' }],
    shown: 'GET /v1/key/describe/stored%2D001, …%73tored%2d001, …?ignored=1, /v1/key/d%65scribe/stored-001',
    expected: json('{"name":"stored-001",<text>}'),
    differs: 'states',
  },
  {
    section: 'Escapes',
    title: 'what is no escape',
    requests: ['%', '%a', '%zz', 'a%2', '%%41'].map((argument) => ({
      method: 'GET',
      path: `/v1/key/describe/${argument}`,
    })),
    shown: 'GET /v1/key/describe/ with %, %a, %zz, a%2, %%41',
    expected: {
      status: 400,
      headers: { 'content-type': 'application/json' },
      body: '{"message":"<text>","code":"InvalidPath"\n}',
    },
    differs: 'malformed-escapes',
  },
  {
    section: 'Escapes',
    title: 'escaped dots are dots in a name',
    requests: ['%2e%2e', '%2E', '%2e%2e%2f%2e%2e'].map((argument) => ({
      method: 'GET',
      path: `/v1/key/describe/${argument}`,
      fill: { name: decodeURIComponent(argument) },
    })),
    shown: 'GET /v1/key/describe/ with %2e%2e, %2E, %2e%2e%2f%2e%2e',
    expected: badName('key name'),
    differs: 'escaped-dots',
  },
  {
    section: 'Paths that are no API',
    title: 'OPTIONS of the whole server',
    requests: [{ method: 'OPTIONS', path: '*' }],
    expected: NOT_FOUND,
    differs: 'options',
  },
]

export const ROUTING_CASES: readonly Case[] = [...OTHER_METHODS, HEADS, ...UNKNOWN, ...REDIRECTS, ...ESCAPES]
