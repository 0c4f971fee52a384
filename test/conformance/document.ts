/** docs/conformance.md: every case as a row, and how many requests there are. */
import type { Case, Expected, Request } from './case.ts'
import type { Scenario } from './scenarios.ts'
import { SPEC_APIS } from './spec-apis.ts'

const TEXT_MAX = 110
const NO_API = 'other paths'
const SHOWN_CALLERS: Readonly<Record<string, string>> = {
  none: 'without a certificate',
  nobody: 'by an identity without a policy',
}

interface Row {
  /** The APIs that are asked, as the list of APIs names them. */
  readonly apis: readonly string[]
  readonly section: string
  readonly title: string
  readonly sent: string
  readonly reply: string
  readonly requests: number
  readonly differs: string | undefined
}

export function rowOfCase({ section, title, requests, shown, expected, differs }: Case): Row {
  const sent = shown ?? requests.map(sentOf).join('; ')
  const apis = requests.map(({ path }) => apiOf(path))
  return { apis, section, title, sent, reply: replyOf(expected), requests: requests.length, differs }
}

export function rowOfScenario({ section, title, sent, expected, requests, differs }: Scenario): Row {
  const apis = [...sent.matchAll(/\/v\S+/g)].map(([path]) => apiOf(path)).slice(0, requests)
  return { apis, section, title, sent, reply: withCodeBehind(expected), requests, differs }
}

/** Where a path is no API's: a text that says so. */
function apiOf(path: string): string {
  const clean = path.replace(/[?#].*$/, '')
  const api = SPEC_APIS.find((each) =>
    each.path.endsWith('/') ? clean.startsWith(each.path) : clean === each.path,
  )
  return api === undefined ? NO_API : api.path
}

function sentOf({ method, path, as, body, headers = {} }: Request): string {
  const head = Object.entries(headers).map(([name, value]) => ` ${name}: ${value}`)
  const by = as === undefined || as === 'admin' ? '' : ` ${SHOWN_CALLERS[as] ?? `by '${as}'`}`
  const text =
    body === undefined ? '' : ` ${typeof body === 'string' ? body || '(empty)' : JSON.stringify(body)}`
  return `${method} ${path}${head.join('')}${text}${by}`
}

function replyOf({ status, headers, body, shown }: Expected): string {
  const { location } = headers
  return `${status} ${location ?? shown ?? withCodeBehind(body)}`.trim()
}

/** An error as KES has it, and its code. */
function withCodeBehind(text: string): string {
  return text.replace(/,"code":"(\w+)"\n\}$/, '} $1').trimEnd()
}

/** @param protocols - each request was sent over each of them. */
export function documentOf(rows: readonly Row[], protocols: readonly string[]): string {
  const sections = Object.entries(Object.groupBy(rows, ({ section }) => section))
  const summary = sections.map(([section, group = []]) => {
    const differing = group.filter(({ differs }) => differs !== undefined)
    const cells = [
      `[${section}](#${idOf(section)})`,
      group.length,
      sumOf(group),
      sumOf(group) - sumOf(differing),
      sumOf(differing),
      0,
    ]
    return `| ${cells.join(' | ')} |`
  })
  const differing = rows.filter(({ differs }) => differs !== undefined)
  const total = ['all', rows.length, sumOf(rows), sumOf(rows) - sumOf(differing), sumOf(differing), 0]
  return `# Conformance with the Go KES

Made by \`test/conformance/conformance.test.ts\`, which sends every request below to a server over TLS, once over each of
${protocols.join(' and ')}, and compares status, headers and body with what the specification of KES's protocol and the
recordings in \`test/vectors/kes\` say. \`UPDATE_DOCS=1\` writes this file; a test fails when it is not what the run makes.

- *as KES*: the same status, the same headers, and the same bytes, but for two things that are true of every reply:
  errors have a field \`code\` behind \`message\` ([why](differences.md#error-codes)), which the rows name; and long
  replies have a length, too ([why](differences.md#content-length)).
- *differs*: deliberately; the row leads to the reason in [differences.md](differences.md), and what it says is checked.
- The admin asks unless a row says who. \`<time>\`, \`<count>\`, \`<b64 32>\` (32 bytes in base64), \`<text>\` and \`<any>\`
  stand for what differs from run to run. The keys \`vec-…\` and \`stored-…\` are files that the Go KES has written.

${sumOf(rows)} requests over each protocol, ${sumOf(rows) * protocols.length} in all.

| API | requests | as KES | deliberate differences | unexplained |
| --- | ---: | ---: | ---: | ---: |
${[...SPEC_APIS.map(({ path }) => path), NO_API].map((api) => rowOfApi(api, rows)).join('\n')}

| Section | cases | requests | as KES | deliberate differences | unexplained |
| --- | ---: | ---: | ---: | ---: | ---: |
${summary.join('\n')}
| ${total.join(' | ')} |

${sections.map(([section, group = []]) => sectionOf(section, group)).join('\n')}`
}

function rowOfApi(api: string, rows: readonly Row[]): string {
  const count = (some: readonly Row[]) =>
    some.flatMap(({ apis }) => apis).filter((each) => each === api).length
  const [all, differing] = [count(rows), count(rows.filter(({ differs }) => differs !== undefined))]
  return `| ${[api, all, all - differing, differing, 0].join(' | ')} |`
}

function sectionOf(section: string, rows: readonly Row[]): string {
  const lines = rows.map(({ title, sent, reply, requests, differs }) => {
    const verdict = differs === undefined ? 'as KES' : `[differs](differences.md#${differs})`
    return `| ${plain(title)} | ${code(sent)} | ${code(reply)} | ${requests} | ${verdict} |`
  })
  return `## ${section}

| Case | Sent | Reply | Requests | Passes |
| --- | --- | --- | ---: | --- |
${lines.join('\n')}
`
}

function sumOf(rows: readonly Row[]): number {
  return rows.reduce((sum, { requests }) => sum + requests, 0)
}

function idOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-')
}

/** Text in a cell. */
function plain(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('_', '\\_')
}

/** A text as code in a cell: on one line, and not too long. */
function code(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\ufeff]/gu, (letter) => JSON.stringify(letter).slice(1, -1))
    .replaceAll('|', '\\|')
  const short = line.length > TEXT_MAX ? `${line.slice(0, TEXT_MAX - 1)}…` : line
  const fence = short.includes('`') ? '``' : '`'
  return `${fence}${short}${fence}`
}
