/** Which arguments are names, and which are patterns of a list: section 7 of KES's protocol, and names.json. */
import { readVectors } from '../read-vectors.ts'
import { badName, badPattern, type Case, type Expected, error, NO_KEY, type Request } from './case.ts'

interface Row {
  readonly input: string
  readonly valid_name: boolean
  readonly valid_pattern: boolean
}

/** Dots are cleaned away before there is a name. */
const rows = readVectors<{ rows: Row[] }>('names.json').rows.filter(
  ({ input }) => !/(^|\/)\.{1,2}(\/|$)/.test(input),
)

const shownInput = (input: string) => (input.length > 30 ? `${input.slice(0, 20)}… (${input.length})` : input)

const KEY_APIS = [
  ['PUT', 'create'],
  ['PUT', 'import'],
  ['DELETE', 'delete'],
  ['PUT', 'generate'],
  ['PUT', 'encrypt'],
  ['PUT', 'decrypt'],
  ['PUT', 'hmac'],
] as const

const DESCRIBED: Case[] = rows.map(({ input, valid_name }) => ({
  section: 'Names',
  title: valid_name ? 'a name' : 'no name',
  requests: [{ method: 'GET', path: `/v1/key/describe/${encodeURIComponent(input)}`, fill: { name: input } }],
  shown: `GET /v1/key/describe/${shownInput(input)}`,
  expected: valid_name ? NO_KEY : badName('key name'),
}))

const invalid = rows.filter(({ valid_name }) => !valid_name)

function each(title: string, expected: Expected, method: string, path: string, of: readonly Row[]): Case {
  const requests: Request[] = of.map(({ input }) => ({
    method,
    path: path + encodeURIComponent(input),
    fill: { name: input },
  }))
  return {
    section: 'Names',
    title,
    requests,
    shown: `${method} ${path}…, ${of.length} of names.json`,
    expected,
  }
}

const OTHERS: Case[] = [
  ...KEY_APIS.map(([method, api]) =>
    each(
      `what is no name for describe is none for ${api}`,
      badName('key name'),
      method,
      `/v1/key/${api}/`,
      invalid,
    ),
  ),
  ...(['describe', 'read'] as const).map((api) =>
    each(
      'a name of a policy has the same rules',
      badName('policy name'),
      'GET',
      `/v1/policy/${api}/`,
      invalid,
    ),
  ),
  each('and so has an identity', badName('identity'), 'GET', '/v1/identity/describe/', invalid),
  each(
    'valid names that no policy has',
    error(404, 'policy does not exist', 'PolicyNotFound'),
    'GET',
    '/v1/policy/describe/',
    rows.filter(({ valid_name }) => valid_name),
  ),
  each(
    'valid identities that there are not',
    error(404, 'identity does not exist', 'IdentityNotFound'),
    'GET',
    '/v1/identity/describe/',
    rows.filter(({ valid_name }) => valid_name),
  ),
]

const PATTERNS: Case[] = ['key', 'policy', 'identity'].map((kind) =>
  each(
    'what is no pattern of a list',
    badPattern(),
    'GET',
    `/v1/${kind}/list/`,
    rows.filter((row) => !row.valid_pattern),
  ),
)

export const NAME_CASES: readonly Case[] = [...DESCRIBED, ...OTHERS, ...PATTERNS]
