// 'kes config check' on files that are wrong in every way: each gets a line for each mistake, with its place.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runKes } from '../../../../test/kes-cli/harness.ts'
import { serverOf } from '../../../../test/sandbox/certificates.ts'

const MAIN = join(import.meta.dirname, '../main.js')
const ID = 'a'.repeat(64)
const USER = 'b'.repeat(64)
const OTHER = 'c'.repeat(64)

/** Every line of a file that is right; each case spoils one of them, or adds one. */
const RIGHT = `version: v1
address: 127.0.0.1:7373
workers: 2
admin:
  identity: ${ID}
tls:
  key: TLS_KEY
  cert: TLS_CERT
  auth: off
  password: ""
api:
  /v1/ready:
    skip_auth: true
    timeout: 15s
policy:
  minio:
    allow:
    - /v1/key/create/minio-*
    - /v1/status
    deny:
    - /v1/key/create/minio-internal
    identities:
    - ${USER}
  other:
    allow: [/v1/metrics]
    identities: [${OTHER}]
cache:
  expiry:
    any: 5m
    unused: 30s
    offline: 0s
log:
  error: INFO
  audit: on
keys:
  deletion:
    waiting_period: 7d
  erased_names: reserved
  predefined:
  - name: minio-backend
  - name: backup
keystore:
  sqlite:
    path: ./keys.db
    passphrase: open sesame
    argon2:
      memory: 64MiB
      passes: 3
      parallelism: 4
`

const LINES = RIGHT.split('\n').slice(0, -1)

/** A line of the file, and what stands there instead; the mistake is in that line, or so many lines further. */
const SPOILED: readonly (readonly [line: string, instead: string, further?: number])[] = [
  ['version: v1', 'version: v2'],
  ['version: v1', 'version: V1'],
  ['version: v1', 'version: 1'],
  ['version: v1', 'version: $' + '{VERSION}'],
  ['address: 127.0.0.1:7373', 'address: 127.0.0.1'],
  ['address: 127.0.0.1:7373', 'address: localhost:7373'],
  ['address: 127.0.0.1:7373', 'address: kes.example.com:7373'],
  ['address: 127.0.0.1:7373', 'address: 127.0.0.1:99999'],
  ['address: 127.0.0.1:7373', 'address: 127.0.0.1:port'],
  ['address: 127.0.0.1:7373', 'address: "[::1:7373"'],
  ['address: 127.0.0.1:7373', 'address: https://127.0.0.1:7373'],
  ['address: 127.0.0.1:7373', 'address: 7373'],
  ['workers: 2', 'workers: 0'],
  ['workers: 2', 'workers: -1'],
  ['workers: 2', 'workers: 257'],
  ['workers: 2', 'workers: two'],
  ['workers: 2', 'workers: 1.5'],
  [`identity: ${ID}`, 'identity: ""'],
  [`identity: ${ID}`, 'identity: kes:v1:AAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'],
  ['key: TLS_KEY', 'key: ""'],
  ['key: TLS_KEY', 'key: ./no-such-file.key'],
  ['key: TLS_KEY', 'key: TLS_CERT'],
  ['cert: TLS_CERT', 'cert: ""'],
  ['cert: TLS_CERT', 'cert: ./no-such-file.crt'],
  ['cert: TLS_CERT', 'cert: TLS_KEY'],
  ['auth: off', 'auth: maybe'],
  ['auth: off', 'auth: yes'],
  ['auth: off', 'auth: "true"'],
  ['auth: off', 'ca: ./no-such-file.crt'],
  ['auth: off', 'ca: TLS_KEY'],
  ['auth: off', `proxy: {identities: [${ID}]}`],
  ['auth: off', `proxy: {identities: [${USER}]}`, 14],
  ['/v1/ready:', '/v1/raedy:'],
  ['/v1/ready:', '/v1/ready/:'],
  ['/v1/ready:', '/v1/key/create:'],
  ['/v1/ready:', '/v1/log/audit/trace:'],
  ['skip_auth: true', 'skip_auth: maybe'],
  ['skip_auth: true', 'skip_auth: 1'],
  ['skip_auth: true', 'skip_auth: "true"'],
  ['timeout: 15s', 'timeout: 15'],
  ['timeout: 15s', 'timeout: -15s'],
  ['timeout: 15s', 'timeout: 15 s'],
  ['timeout: 15s', 'timeout: 15sec'],
  ['timeout: 15s', 'timeout: soon'],
  ['minio:', 'min.io:'],
  ['minio:', '"min io":'],
  ['minio:', '-minio:'],
  ['minio:', '_:'],
  ['minio:', `${'a'.repeat(81)}:`],
  ['minio:', 'other:', 8],
  ['- /v1/key/create/minio-*', '- v1/key/create/minio-*'],
  ['- /v1/key/create/minio-*', '- /v1/key/*/minio'],
  ['- /v1/key/create/minio-*', '- /v1/key/create/min?o'],
  ['- /v1/key/create/minio-*', '- "/v1/key/{create,delete}/a"'],
  ['- /v1/key/create/minio-*', '- "/v1/key/create/a "'],
  ['- /v1/key/create/minio-*', '- /v1/Key/create/a'],
  ['- /v1/key/create/minio-*', '- /v1/policy/write/*'],
  ['- /v1/key/create/minio-*', '- /v1/policy/show/*'],
  ['- /v1/key/create/minio-*', '- /v1/identity/assign/*'],
  ['- /v1/key/create/minio-*', '- /v1/key/bulk/decrypt/*'],
  ['- /v1/key/create/minio-*', '- /v1/secret/*'],
  ['- /v1/key/create/minio-*', '- /v1/enclave/create/*'],
  ['- /v1/key/create/minio-*', '- /v1/log/error/trace'],
  ['- /v1/key/create/minio-*', '- $' + '{PATTERN}'],
  ['- /v1/key/create/minio-*', '- {a: b}'],
  ['- /v1/key/create/minio-*', '- [a]'],
  ['- /v1/key/create/minio-internal', '- /v1/nothing'],
  [`- ${USER}`, `- ${ID}`],
  [`- ${USER}`, `- ${ID.toUpperCase()}`],
  [`- ${USER}`, '- ""'],
  [`- ${USER}`, '- not/an/identity'],
  [`- ${USER}`, '- kes:v1:AAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'],
  [`- ${USER}`, `- ${OTHER}`, 3],
  ['any: 5m', 'any: 5'],
  ['any: 5m', 'any: -5m'],
  ['any: 5m', 'any: 5 minutes'],
  ['unused: 30s', 'unused: half a minute'],
  ['unused: 30s', 'unused: -1ns'],
  ['offline: 0s', 'offline: never'],
  ['offline: 0s', 'offline: -1h'],
  ['error: INFO', 'error: VERBOSE'],
  ['error: INFO', 'error: WARN-1'],
  ['error: INFO', 'error: INFO+X'],
  ['error: INFO', 'error: /var/log/kes.log'],
  ['audit: on', 'audit: loud'],
  ['audit: on', 'audit: {stdout: off}'],
  ['audit: on', 'audit: {file: /var/log/}'],
  ['audit: on', 'audit: {file: a, max_size: 5}'],
  ['audit: on', 'audit: {file: a, max_size: 1KiB}'],
  ['audit: on', 'audit: {file: a, max_age: 1s}'],
  ['audit: on', 'audit: {file: a, keep: none}'],
  ['audit: on', 'audit: {file: a, keep: 0}'],
  ['audit: on', 'audit: {file: a, head_interval: 1ms}'],
  ['waiting_period: 7d', 'waiting_period: 7'],
  ['waiting_period: 7d', 'waiting_period: a week'],
  ['waiting_period: 7d', 'waiting_period: -7d'],
  ['waiting_period: 7d', 'waiting_period: 4000d'],
  ['erased_names: reserved', 'erased_names: gone'],
  ['erased_names: reserved', 'erased_names: true'],
  ['- name: minio-backend', '- name: minio backend'],
  ['- name: minio-backend', '- name: minio.backend'],
  ['- name: minio-backend', '- name: ""'],
  ['- name: minio-backend', '- name: backup', 1],
  ['- name: minio-backend', '- minio-backend'],
  ['- name: minio-backend', '- {}'],
  ['path: ./keys.db', 'path: ""'],
  ['passphrase: open sesame', 'passphrase: ""'],
  ['passphrase: open sesame', 'key_file: ""'],
  ['passphrase: open sesame', 'key_file: a\n    passphrase_file: b'],
  ['memory: 64MiB', 'memory: 64'],
  ['memory: 64MiB', 'memory: 64MB'],
  ['memory: 64MiB', 'memory: 1MiB'],
  ['memory: 64MiB', 'memory: 2GiB'],
  ['passes: 3', 'passes: 0'],
  ['passes: 3', 'passes: 17'],
  ['parallelism: 4', 'parallelism: 0'],
  ['parallelism: 4', 'parallelism: four'],
]

/** What no YAML is, in place of a line; the place is what the message must name. */
const NO_YAML: readonly (readonly [line: string, instead: string, further?: number])[] = [
  ['workers: 2', '\tworkers: 2'],
  ['workers: 2', 'workers: "2'],
  ['workers: 2', "workers: '2", LINES.length - 2], // Where the file ends without the quote.
  ['workers: 2', 'workers: [2', 1],
  ['workers: 2', 'workers: {2', 1],
  ['workers: 2', 'workers: ]'],
  ['workers: 2', 'workers: }'],
  ['workers: 2', 'workers: *two'],
  ['workers: 2', 'workers: &a &b 2'],
  ['workers: 2', 'workers: @2'],
  ['workers: 2', 'workers: `2`'],
  ['workers: 2', 'workers: %2'],
  ['workers: 2', 'workers: a: b'],
  ['workers: 2', '- workers: 2'],
  ['workers: 2', 'workers'],
  ['workers: 2', '"workers: 2'],
  ['workers: 2', ' workers: 2', -1],
  ['workers: 2', 'workers: "\\q"'],
  ['workers: 2', 'workers: "a\u0000b"'],
  ['workers: 2', 'workers: a\u001bb'],
  ['workers: 2', '? [a]\n: b'],
]

/** Other stores, as a whole; the line is counted from `keystore`. */
const STORES: readonly (readonly [store: string, line?: number])[] = [
  ['keystore: x'],
  ['keystore: []'],
  ['keystore: {}'],
  ['keystore:\n  etcd: {endpoints: [a]}', 1],
  ['keystore:\n  generic: {endpoint: e}', 1],
  ['keystore:\n  kes: {endpoint: e}', 1],
  ['keystore:\n  s3: {}'],
  ['keystore:\n  fs: x', 1],
  ['keystore:\n  fs: {}', 1],
  ['keystore:\n  fs: {path: k}\n  sqlite: {path: d, key_file: f}', 1],
  ['keystore:\n  FS: {path: k}', 1],
  ['keystore:\n  fs: {path: k, passphrase: a, key_file: b}', 1],
  ['keystore:\n  vault: x', 1],
  ['keystore:\n  vault: {}', 1],
  ['keystore:\n  vault: {endpoint: e}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {id: i}}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {secret: s}}', 1],
  ['keystore:\n  vault: {endpoint: e, kubernetes: {role: r}}', 1],
  ['keystore:\n  vault: {endpoint: e, kubernetes: {jwt: /no/such/file}}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {id: i, secret: s}, version: v3}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {id: i, secret: s}, transit: {}}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {id: i, secret: s}, tls: {key: k}}', 1],
  ['keystore:\n  vault: {endpoint: e, approle: {id: i, secret: s}, status: {ping: 5}}', 1],
  ['keystore:\n  aws: {secretsmanager: {}}', 1],
  ['keystore:\n  aws: {secretsmanager: {endpoint: e}}', 1],
  ['keystore:\n  aws: {secretsmanager: {endpoint: e, region: r, credentials: {accesskey: a}}}', 1],
  ['keystore:\n  aws: {secretmanager: {endpoint: e, region: r}}', 1],
  ['keystore:\n  azure: {keyvault: {}}', 1],
  ['keystore:\n  azure: {keyvault: {endpoint: e, credentials: {tenant_id: t}}}', 1],
  ['keystore:\n  azure: {keyvault: {endpoint: e, managed_identity: {}}}', 1],
  ['keystore:\n  gcp: {secretmanager: {}}', 1],
  ['keystore:\n  gcp: {secretmanager: {project_id: p, credentials: {client_id: c}}}', 1],
  ['keystore:\n  fortanix: {sdkms: {}}', 1],
  ['keystore:\n  fortanix: {sdkms: {endpoint: e}}', 1],
  ['keystore:\n  gemalto: {keysecure: {}}', 1],
  ['keystore:\n  gemalto: {keysecure: {endpoint: e}}', 1],
  ['keystore:\n  entrust: {keycontrol: {}}', 1],
  ['keystore:\n  entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b}}', 1],
]

interface Broken {
  readonly title: string
  readonly text: string
  readonly line: number
}

function lineOf(start: string): number {
  const found = LINES.findIndex((line) => line.trim() === start)
  if (found < 0) throw new Error(`the file has no line '${start}'`)
  return found
}

function withLine(index: number, instead: string): string {
  return [...LINES.slice(0, index), instead, ...LINES.slice(index + 1), ''].join('\n')
}

function spoil([line, instead, further = 0]: (typeof SPOILED)[number]): Broken {
  const index = lineOf(line)
  const indent = /^ */.exec(LINES[index] ?? '')?.[0] ?? ''
  return { title: `${line} → ${instead}`, text: withLine(index, indent + instead), line: index + 1 + further }
}

/** Lines with a field, and its value if it is a single one. */
const FIELDS = LINES.map((text, index) => {
  const [, indent = '', name = '', value = ''] = /^( *)([a-z_]+):(.*)$/.exec(text) ?? []
  return { index, indent, name, value: value.trim() }
}).filter(({ name }) => name !== '' && name !== 'minio' && name !== 'other')
const VALUES = FIELDS.filter(({ value }) => value !== '' && !value.startsWith('['))

/** What is wrong with a field whatever it means. */
const GENERATED: readonly Broken[] = [
  ...VALUES.map(({ index, indent, name }) => ({
    title: `${name} is a list`,
    text: withLine(index, `${indent}${name}: [x, y]`),
    line: index + 1,
  })),
  ...VALUES.map(({ index, indent, name }) => ({
    title: `${name} is a mapping`,
    text: withLine(index, `${indent}${name}: {x: y}`),
    line: index + 1,
  })),
  ...VALUES.filter(({ name }) => name !== 'version').map(({ index, indent, name }) => ({
    title: `${name} is a variable that is not set`,
    text: withLine(index, `${indent}${name}: $\{NO_SUCH_VARIABLE}`),
    line: index + 1,
  })),
  ...FIELDS.map(({ index, indent, name, value }) => ({
    title: `${name} lacks a letter`,
    text: withLine(index, `${indent}${name.slice(1)}: ${value}`),
    line: index + 1,
  })),
  ...VALUES.map(({ index, indent, name, value }) => ({
    title: `${name} stands there twice`,
    text: withLine(index, `${indent}${name}: ${value}\n${indent}${name}: ${value}`),
    line: index + 2,
  })),
]

const BY_HAND: readonly Broken[] = [
  { title: 'an empty file', text: '', line: 1 },
  { title: 'comments alone', text: '# a\n# b\n', line: 1 },
  { title: 'a text', text: 'hello', line: 1 },
  { title: 'a list', text: '\n- a', line: 2 },
  { title: 'null', text: 'null', line: 1 },
  { title: 'JSON that is cut', text: '{"version": "v1",\n"admin": {"identity":', line: 2 },
  { title: 'a second document', text: `${RIGHT}---\nadmin: {}\n`, line: LINES.length + 2 },
  { title: 'keys that a KMS has encrypted', text: `${RIGHT}kms: {vault: {}}\n`, line: LINES.length + 1 },
  { title: 'brackets without end', text: `${RIGHT}x: ${'['.repeat(5000)}`, line: LINES.length + 1 },
  ...SPOILED.map(spoil),
  ...NO_YAML.map(spoil),
  ...STORES.map(([store, line = 0]) => ({
    title: store,
    text: [...LINES.slice(0, lineOf('keystore:')), store, ''].join('\n'),
    line: lineOf('keystore:') + 1 + line,
  })),
]

let folder: string
let file: string
const names: Record<string, string> = {}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'broken-configs-'))
  file = join(folder, 'kes.yml')
  const { key, cert } = await serverOf()
  for (const [name, text] of Object.entries({ TLS_KEY: key, TLS_CERT: cert })) {
    names[name] = join(folder, name.toLowerCase())
    writeFileSync(names[name], text)
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

function write(text: string): void {
  writeFileSync(
    file,
    text.replace(/TLS_KEY|TLS_CERT/g, (name) => names[name] ?? name),
  )
}

const STACK = /^\s+at |node:internal|TypeError|AssertionError|\bundefined\b|\[object/m

/** The places that the check prints; every line has one, and none is a stack trace. */
async function placesFound(text: string): Promise<{ code: number; places: string[] }> {
  write(text)
  const { code, stdout, stderr } = await runKes(['config', 'check', file])
  expect(stderr).toBe('')
  expect(stdout).not.toMatch(STACK)
  const lines = stdout.trimEnd().split('\n')
  expect(lines.at(-1)).toMatch(/: (?:no problems|\d+ problems?) found$/)
  const places = lines.slice(0, -1).map((line) => {
    const [, place] = /^.*?kes\.yml:(\d+:\d+): (?:error|warning): \S.* \(\S.*\)$/.exec(line) ?? []
    expect(place, `a place, a message and what to write: ${line}`).toBeDefined()
    return place ?? ''
  })
  return { code, places }
}

test('the file that the others are made of is right', async () => {
  expect(await placesFound(RIGHT)).toEqual({ code: 0, places: [] })
})

test('there are more than 200 files', () => {
  expect(BY_HAND.length).toBeGreaterThan(150)
  expect(new Set([...BY_HAND, ...GENERATED].map(({ text }) => text)).size).toBeGreaterThan(300)
})

describe.each([
  ['by hand', BY_HAND],
  ['for every field', GENERATED],
])('broken %s', (_, cases) => {
  test.each(cases)('$title', async ({ text, line }) => {
    const { code, places } = await placesFound(text)
    expect(code).toBe(1)
    expect(places.map((place) => Number(place.split(':')[0]))).toContain(line)
  })
})

test('of many mistakes in one file each is told, in the order of the file', async () => {
  const mistakes = [
    ['address: 127.0.0.1:7373', 'address: localhost:1'],
    ['workers: 2', 'workers: 0'],
    ['key: TLS_KEY', 'key: ./no-such-file.key'],
    ['timeout: 15s', 'timeout: -1s'],
    ['- /v1/key/create/minio-*', '- v1/status'],
    [`- ${USER}`, '- not/an/identity'],
    ['unused: 30s', 'unsued: 30s'],
    ['error: INFO', 'error: VERBOSE'],
    ['- name: backup', '- name: minio-backend'],
    ['memory: 64MiB', 'memory: 64'],
  ] as const
  let text = RIGHT
  for (const [line, instead] of mistakes) text = text.replace(line, instead)
  const { code, places } = await placesFound(text)
  expect(code).toBe(1)
  expect(places.map((place) => Number(place.split(':')[0]))).toEqual(
    mistakes.map(([line]) => lineOf(line) + 1),
  )
})

describe('the real commands', () => {
  const run = promisify(execFile)
  const kes = (...args: string[]) =>
    run(process.execPath, [MAIN, ...args]).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        stdout,
        stderr,
      }),
    )

  test.each([...BY_HAND, ...GENERATED].filter((_, index) => index % 60 === 7))(
    'say the same, and a strict server does not start: $title',
    async ({ text, line }) => {
      write(text)
      const checked = await kes('config', 'check', file)
      const started = await kes('server', '--strict', '--config', file)
      expect([checked.code, started.code]).toEqual([1, 1])
      expect(started.stderr).toMatch(/^Error: \S/)
      for (const output of [checked.stdout, started.stderr]) {
        expect(output).toContain(`kes.yml:${line}:`)
        expect(output).not.toMatch(STACK)
      }
    },
  )
})
