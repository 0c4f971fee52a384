/** Who may do what, and in which order a request is looked at: sections 2 to 4 of KES's protocol. */
import { readVectors } from '../read-vectors.ts'
import {
  badBody,
  badName,
  type Case,
  EMPTY,
  type Expected,
  error,
  json,
  NO_CERTIFICATE,
  NO_KEY,
  NOT_ALLOWED,
  NOT_FOUND,
  type Request,
  wrongMethod,
} from './case.ts'
import { pathTo, SPEC_APIS } from './spec-apis.ts'

const GUARDED = SPEC_APIS.filter(
  ({ path }) => !['/version', '/v1/ready', '/v1/identity/self/describe'].includes(path),
)
const guarded = (as: Request['as']): Request[] =>
  GUARDED.map((api) => ({ method: api.method, path: pathTo(api), ...(as === undefined ? {} : { as }) }))

const TOO_MANY = error(400, 'tls: received more than one client certificate', 'TooManyCertificates')

const CALLERS: Case[] = [
  ...GUARDED.flatMap((api): Case[] => {
    const request = { method: api.method, path: pathTo(api) }
    const section = 'Callers'
    return [
      {
        section,
        title: 'an identity without a policy',
        requests: [{ ...request, as: 'nobody' }],
        expected: NOT_ALLOWED,
      },
      {
        section,
        title: 'no certificate, where one is optional',
        requests: [{ ...request, as: 'none' }],
        expected: NO_CERTIFICATE,
      },
    ]
  }),
  {
    section: 'Callers',
    title: 'a certificate of a CA is none of a client',
    requests: guarded('ca'),
    shown: `each of these ${GUARDED.length} APIs`,
    expected: NO_CERTIFICATE,
  },
  {
    section: 'Callers',
    title: 'a CA with the certificate of somebody else behind it is not that client',
    requests: guarded('CA, then leaf'),
    shown: `each of these ${GUARDED.length} APIs`,
    expected: NO_CERTIFICATE,
    differs: 'first-certificate',
  },
  {
    section: 'Callers',
    title: 'two certificates that are not a CA’s',
    requests: guarded('two leaves'),
    shown: `each of these ${GUARDED.length} APIs`,
    expected: TOO_MANY,
  },
  {
    section: 'Callers',
    title: 'a certificate with that of its CA is the client of the first',
    requests: [{ method: 'PUT', path: '/v1/key/create/app-denied', as: 'leaf and CA' }],
    expected: NOT_ALLOWED,
  },
  {
    section: 'Callers',
    title: 'a renewed certificate of the same key is the same identity',
    requests: [{ method: 'GET', path: '/v1/key/describe/app-none', as: 'renewed' }],
    expected: NO_KEY,
  },
  {
    section: 'Callers',
    title: 'nobody is asked who they are for the version, or for an API with skip_auth',
    requests: (['none', 'nobody', 'ca', 'app', 'admin'] as const).map((as) => ({
      method: 'GET',
      path: '/v1/ready',
      as,
    })),
    shown: 'GET /v1/ready, by callers of every kind; skip_auth is set for it',
    asksDisk: true,
    expected: EMPTY,
  },
  {
    section: 'Callers',
    title: 'nobody is asked who they are for the version, or for an API with skip_auth',
    requests: (['none', 'nobody', 'ca', 'app'] as const).map((as) => ({
      method: 'GET',
      path: '/version',
      as,
    })),
    shown: 'GET /version, by callers of every kind',
    expected: json('{"version":"<text>","commit":"<text>"}'),
  },
]

const ALLOWED: Case[] = [
  ['a name behind a prefix with a star', 'PUT', '/v1/key/create/app-1', EMPTY],
  ['a star stands for the empty text, too', 'GET', '/v1/key/describe/app-', badName('key name', 'app-')],
  ['a star stands for slashes, too', 'GET', '/v1/key/describe/app-a/b', badName('key name', 'app-a/b')],
  ['an escaped letter is that letter', 'GET', '/v1/key/describe/%61pp-1x', NO_KEY],
  ['a query is no part of the path', 'GET', '/v1/key/describe/app-1x?/v1/api', NO_KEY],
  ['the method is no part of a pattern', 'POST', '/v1/key/create/app-2', EMPTY],
  ['a deny wins over an allow', 'PUT', '/v1/key/create/app-denied', NOT_ALLOWED],
  ['a deny without a star is that path alone', 'PUT', '/v1/key/create/app-denied-2', EMPTY],
  ['another name', 'PUT', '/v1/key/create/other', NOT_ALLOWED],
  ['another case', 'PUT', '/v1/key/create/App-1', NOT_ALLOWED],
  ['the prefix without its last letter', 'PUT', '/v1/key/create/app', NOT_ALLOWED],
  ['an API that the policy does not name', 'PUT', '/v1/key/generate/app-1', NOT_ALLOWED],
  ['a path behind one that is named in full', 'GET', '/v1/metrics', NOT_ALLOWED],
].map(([title, method, path, expected]) => ({
  section: 'Policies',
  title: title as string,
  requests: [{ method: method as string, path: path as string, as: 'app' as const }],
  expected: expected as Expected,
}))

interface Decisions {
  readonly rows: readonly { readonly policy: string; readonly path: string; readonly allowed: boolean }[]
}

/** The APIs that the paths of `policy-decisions.json` lead to; it has others that no API has. */
function methodOf(path: string): string | undefined {
  if (/^\/v1\/key\/(create|generate|decrypt)\//.test(path)) return 'PUT'
  if (path.startsWith('/v1/key/delete/')) return 'DELETE'
  const isRead = path.startsWith('/v1/key/list/') || ['/v1/api', '/v1/metrics', '/v1/status'].includes(path)
  return isRead ? 'GET' : undefined
}

const refusals = readVectors<Decisions>('policy-decisions.json').rows.flatMap(({ policy, path, allowed }) => {
  const method = methodOf(path)
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  return allowed || method === undefined ? [] : [{ policy, method, path: escaped }]
})

const RECORDED: Case[] = Object.entries(Object.groupBy(refusals, ({ policy }) => policy)).map(
  ([policy, rows = []]) => ({
    section: 'Policies',
    title: `what KES's matcher refuses by the policy \`${policy}\` of policy-decisions.json`,
    requests: rows.map(({ method, path }) => ({ method, path, as: `policy ${policy}` as const })),
    shown: `${rows.length} paths, such as ${rows[0]?.path}`,
    expected: NOT_ALLOWED,
  }),
)

const WITH_BODY = ['import', 'generate', 'encrypt', 'decrypt', 'hmac'] as const

const ORDER: Case[] = WITH_BODY.flatMap((api) => {
  const path = (name: string) => `/v1/key/${api}/${name}`
  const rows: [string, Request, Expected][] = [
    [
      'the path before all',
      { method: 'GET', path: `${path('a..')}`.replace(api, `${api}s`), as: 'none' },
      NOT_FOUND,
    ],
    [
      'the method before the caller',
      { method: 'GET', path: path('a..'), as: 'none', body: '{', fill: { method: 'GET' } },
      wrongMethod('PUT'),
    ],
    [
      'the certificate before the policy',
      { method: 'PUT', path: path('a..'), as: 'none', body: '{' },
      NO_CERTIFICATE,
    ],
    [
      'the policy before the name',
      { method: 'PUT', path: path('a..'), as: 'nobody', body: '{' },
      NOT_ALLOWED,
    ],
    ['the name before the body', { method: 'PUT', path: path('a..'), body: '{' }, badName('key name', 'a..')],
    ['the body before the key', { method: 'PUT', path: path('none'), body: '{' }, badBody(api)],
  ]
  if (api !== 'import') {
    const body = '{"ciphertext":"AAAA"}'
    rows.push(['the key before what the body says', { method: 'PUT', path: path('none'), body }, NO_KEY])
  }
  return rows.map(([title, request, expected]) => ({
    section: 'Order of checks',
    title: `${api}: ${title}`,
    requests: [request],
    expected,
    ...(expected.status === 405 ? { differs: 'allow' } : {}),
  }))
})

export const ACCESS_CASES: readonly Case[] = [...CALLERS, ...ALLOWED, ...RECORDED, ...ORDER]
