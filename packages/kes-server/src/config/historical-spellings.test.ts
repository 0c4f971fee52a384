// Config files as early releases of KES took them: section 7 of its configuration.
import { describe, expect, test } from 'vitest'
import { effectiveConfig } from './effective-config.ts'
import { parseConfig } from './load-config.ts'
import { ConfigError, type Problem } from './problem.ts'

const ADMIN = 'admin: {identity: some-admin}\n'
const TLS = 'tls: {key: k, cert: c}\n'
const FS = 'keystore: {fs: {path: ./keys}}\n'
const LOGIN = 'approle: {id: i, secret: s}'
const AWS = 'endpoint: e, region: r, kmskey: k, credentials: {accesskey: a, secretkey: s, token: t}'
const OLD_AWS =
  'address: e, region: r, kms_key_id: k, credentials: {access_key: a, secret_key: s, session_token: t}'

function read(text: string) {
  const { config, warnings } = parseConfig(text, { file: 'f', env: { ADMIN: 'some-admin' }, strict: true })
  const meaning: unknown = JSON.parse(
    JSON.stringify({ ...effectiveConfig(config), secrets: secretsOf(config) }),
  )
  return { meaning, warnings: warnings.map(shown) }
}

/** What a printed config masks. */
function secretsOf({ keystore }: ReturnType<typeof parseConfig>['config']): string[] {
  const secrets: string[] = []
  JSON.stringify(keystore, (_, value) => {
    if (typeof value?.reveal === 'function') secrets.push(value.reveal())
    return value
  })
  return secrets
}

function shown({ line, column, severity, message, hint }: Problem): string {
  return `${line}:${column} ${severity}: ${message} (${hint})`
}

function problemsOf(text: string): ConfigError {
  try {
    parseConfig(text, { file: 'f', env: {} })
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the config was accepted')
}

const old = (place: string, name: string, today: string) =>
  `${place} warning: '${name}' is an old spelling (write '${today}')`

describe('an old spelling means what is written otherwise today, and the warning says how', () => {
  test.each([
    [
      'a folder of keys at the top',
      `${ADMIN}${TLS}fs: {path: ./keys}\n`,
      `${ADMIN}${TLS}${FS}`,
      [old('3:1', 'fs', 'keystore.fs')],
    ],
    [
      'a Vault at the top',
      `${ADMIN}${TLS}vault: {endpoint: e, ${LOGIN}}\n`,
      `${ADMIN}${TLS}keystore: {vault: {endpoint: e, ${LOGIN}}}\n`,
      [old('3:1', 'vault', 'keystore.vault')],
    ],
    [
      'a folder of keys in keys',
      `${ADMIN}${TLS}keys:\n  fs: {path: ./keys}\n`,
      `${ADMIN}${TLS}${FS}`,
      [old('4:3', 'keys.fs', 'keystore.fs')],
    ],
    [
      'a Vault in keys',
      `${ADMIN}${TLS}keys:\n  vault: {endpoint: e, ${LOGIN}}\n`,
      `${ADMIN}${TLS}keystore: {vault: {endpoint: e, ${LOGIN}}}\n`,
      [old('4:3', 'keys.vault', 'keystore.vault')],
    ],
    [
      'keys as a list',
      `${ADMIN}${TLS}${FS}keys: [{name: fs}]\n`,
      `${ADMIN}${TLS}${FS}keys: {predefined: [{name: fs}]}`,
      [],
    ],
    ['root', `root: some-admin\n${TLS}${FS}`, `${ADMIN}${TLS}${FS}`, [old('1:1', 'root', 'admin.identity')]],
    [
      'root from the environment',
      `root: $\{ADMIN}\n${TLS}${FS}`,
      `${ADMIN}${TLS}${FS}`,
      [old('1:1', 'root', 'admin.identity')],
    ],
    [
      'paths of policies',
      `${ADMIN}${TLS}${FS}policy:\n  p: {paths: [/v1/status], identities: [x]}\n  q: {paths: [/v1/api]}\n`,
      `${ADMIN}${TLS}${FS}policy:\n  p: {allow: [/v1/status], identities: [x]}\n  q: {allow: [/v1/api]}\n`,
      [old('5:7', 'policy.p.paths', 'policy.p.allow'), old('6:7', 'policy.q.paths', 'policy.q.allow')],
    ],
    [
      'cache.expiry.all',
      `${ADMIN}${TLS}${FS}cache:\n  expiry:\n    all: 7m\n    unused: 3s\n`,
      `${ADMIN}${TLS}${FS}cache: {expiry: {any: 7m, unused: 3s}}\n`,
      [old('6:5', 'cache.expiry.all', 'cache.expiry.any')],
    ],
    [
      'files of logs',
      `${ADMIN}${TLS}${FS}log:\n  error:\n    file: [/var/log/kes.log]\n  audit:\n    file: [/var/log/audit.log]\n`,
      `${ADMIN}${TLS}${FS}log: {error: on, audit: on}\n`,
      [
        "6:5 warning: 'log.error.file' is an old spelling (write 'log.error: on': the log goes to the standard error, and to no file)",
        "8:5 warning: 'log.audit.file' is an old spelling (write 'log.audit: on': the log goes to the standard output, and to no file)",
      ],
    ],
    [
      'address and name of a Vault',
      `${ADMIN}${TLS}keystore:\n  vault:\n    address: e\n    name: n\n    ${LOGIN}\n`,
      `${ADMIN}${TLS}keystore: {vault: {endpoint: e, prefix: n, ${LOGIN}}}\n`,
      [
        old('5:5', 'keystore.vault.address', 'keystore.vault.endpoint'),
        old('6:5', 'keystore.vault.name', 'keystore.vault.prefix'),
      ],
    ],
    [
      'aws.secrets_manager, and each of its fields',
      `${ADMIN}${TLS}keystore: {aws: {secrets_manager: {${OLD_AWS}}}}\n`,
      `${ADMIN}${TLS}keystore: {aws: {secretsmanager: {${AWS}}}}\n`,
      [
        old('3:18', 'keystore.aws.secrets_manager', 'keystore.aws.secretsmanager'),
        ...[
          ['3:36', 'address', 'endpoint'],
          ['3:59', 'kms_key_id', 'kmskey'],
          ['3:88', 'credentials.access_key', 'credentials.accesskey'],
          ['3:103', 'credentials.secret_key', 'credentials.secretkey'],
          ['3:118', 'credentials.session_token', 'credentials.token'],
        ].map(([place = '', then, today]) => {
          const store = 'keystore.aws.secretsmanager'
          return old(place, `${store}.${then}`, `${store}.${today}`)
        }),
      ],
    ],
    [
      'paths beside allow without a value',
      `${ADMIN}${TLS}${FS}policy: {p: {allow: , paths: [/version]}}\n`,
      `${ADMIN}${TLS}${FS}policy: {p: {allow: [/version]}}\n`,
      [old('4:23', 'policy.p.paths', 'policy.p.allow')],
    ],
    ['no version', `${ADMIN}${TLS}${FS}`, `version: v1\n${ADMIN}${TLS}${FS}`, []],
    [
      'all of them at once, as a file of 2020 has them',
      `root: some-admin\n${TLS}policy: {p: {paths: [/version]}}\ncache: {expiry: {all: 1m}}\nkeys: {aws: {secrets_manager: {${OLD_AWS}}}}\n`,
      `${ADMIN}${TLS}policy: {p: {allow: [/version]}}\ncache: {expiry: {any: 1m}}\nkeystore: {aws: {secretsmanager: {${AWS}}}}\n`,
      expect.arrayContaining([old('5:8', 'keys.aws', 'keystore.aws')]),
    ],
  ])('%s', (_, then, today, warnings) => {
    expect(read(then).warnings).toEqual(warnings)
    expect(read(today).warnings).toEqual([])
    expect(read(then).meaning).toEqual(read(today).meaning)
  })

  test('tls.proxy is what it was before KES ignored it, and no warning is due', () => {
    const proxy = `{identities: [${'c'.repeat(64)}], header: {cert: X-Cert}}`
    expect(read(`${ADMIN}tls:\n  key: k\n  cert: c\n  proxy: ${proxy}\n${FS}`).warnings).toEqual([])
  })
})

test.each([
  ['/v1/policy/show/*', "write '/v1/policy/describe/' or '/v1/policy/read/'"],
  ['/v1/policy/write/*', 'policies live in the config file, no API changes them'],
  ['/v1/policy/delete/p', 'policies live in the config file, no API changes them'],
  ['/v1/policy/assign/*', 'policies live in the config file, no API changes them'],
  ['/v1/identity/assign/*', 'policies live in the config file, no API changes them'],
  ['/v1/identity/forget/*', 'policies live in the config file, no API changes them'],
  ['/v1/identity/delete/*', 'policies live in the config file, no API changes them'],
  ['/v1/key/bulk/decrypt/*', "no bulk API is left: write '/v1/key/decrypt/'"],
  ['/v1/secret/create/*', 'there are no secrets APIs'],
  ['/v1/enclave/describe/*', 'there are no enclaves'],
  ['/v1/log/audit/trace', "write '/v1/log/audit'"],
  ['/v1/log/error/trace', "write '/v1/log/error'"],
])(
  'a policy loads with the path %s of an early release, and a warning says what to write',
  (pattern, hint) => {
    const text = `${ADMIN}${TLS}${FS}policy: {p: {paths: ["${pattern}"]}}\n`
    const { config, warnings } = parseConfig(text, { file: 'f', env: {} })
    expect(config.policies[0]?.allow).toEqual([pattern])
    expect(warnings.map(shown)).toContain(`4:22 warning: the pattern '${pattern}' matches no API (${hint})`)
  },
)

describe('what today’s spelling stands beside is ignored, as the last KES ignores it', () => {
  test.each([
    ['fs: {path: other}', '4:1', 'fs', 'keystore'],
    ['keys: {vault: {}}', '4:8', 'keys.vault', 'keystore'],
    ['root: other', '4:1', 'root', 'admin.identity'],
    ['policy: {p: {allow: [/version], paths: [/v1/api]}}', '4:33', 'policy.p.paths', 'policy.p.allow'],
    ['cache: {expiry: {all: 1s, any: 2s}}', '4:18', 'cache.expiry.all', 'cache.expiry.any'],
  ])('%s', (text, place, name, rival) => {
    const all = `${ADMIN}${TLS}${FS}${text}\n`
    const { warnings, config } = parseConfig(all, { file: 'f', env: {} })
    expect(warnings.map(shown)).toEqual([
      `${place} warning: '${name}' is an old spelling, and is ignored beside '${rival}' (remove it)`,
    ])
    expect(config).toMatchObject({ adminIdentity: 'some-admin', keystore: { path: './keys' } })
    expect(() => read(all)).toThrow(ConfigError)
  })
})

describe('what has no successor is refused, and the reason given', () => {
  test.each([
    [
      'kms: {vault: {}}',
      'kesconf: a store whose keys a KMS has encrypted is not supported',
      '4:1',
      /no release of KES/,
    ],
    [
      'kms: {aws: {kms: {}}}',
      'kesconf: a store whose keys a KMS has encrypted is not supported',
      '4:1',
      /no release/,
    ],
  ])('%s', (text, message, place, hint) => {
    const error = problemsOf(`${ADMIN}${TLS}${FS}${text}\n`)
    expect(error.message).toBe(message)
    expect(error.problems.map(shown)).toEqual([expect.stringMatching(hint)])
    expect(error.format()).toContain(`f:${place}: error: `)
  })

  test.each([
    ['keystore:\n  etcd: {}', '4:3', /'etcd' in April 2020 alone/],
    ['keys:\n  etcd: {}', '4:3', /'etcd' in April 2020 alone/],
    ['keystore:\n  generic: {endpoint: e, tls: {key: k}}', '4:3', /'generic', a plugin/],
    ['keystore:\n  kes: {endpoint: e}', '4:3', /'kes', another KES/],
  ])('%j', (text, place, hint) => {
    const error = problemsOf(`${ADMIN}${TLS}${text}\n`)
    expect(error.message).toBe('kesconf: no keystore specified')
    const errors = error.problems.filter(({ severity }) => severity === 'error')
    expect(errors.map(shown)).toEqual([expect.stringMatching(hint)])
    expect(error.format()).toContain(`f:${place}: error: `)
  })

  test('but beside another store it is ignored', () => {
    const { warnings } = parseConfig(`${ADMIN}${TLS}keystore: {fs: {path: p}, etcd: {}}\n`, {
      file: 'f',
      env: {},
    })
    expect(warnings.map(shown)).toEqual([
      expect.stringMatching(/^3:27 warning: unknown field 'keystore.etcd' is ignored/),
    ])
  })
})

test('what is wrong in an old spelling is told where it stands', () => {
  const text = `root: {a: b}\n${TLS}cache: {expiry: {all: soon}}\nfs: {pth: x}\npolicy: {p: {paths: {}}}\n`
  const places = problemsOf(text)
    .problems.filter(({ severity }) => severity === 'error')
    .map(({ line, column, message }) => `${line}:${column} ${message}`)
  expect(places).toEqual([
    '1:7 cannot unmarshal !!map into string',
    '3:23 cannot unmarshal !!str `soon` into time.Duration',
    '4:1 kesconf: invalid fs keystore: no path specified',
    '5:21 cannot unmarshal !!map into []string',
  ])
})

test('aliases and merged policies are moved as well', () => {
  const text = `${ADMIN}${TLS}${FS}policy:\n  a: &a {paths: [/version], identities: [x]}\n  b: {<<: *a, identities: [y]}\n`
  const { config } = parseConfig(text, { file: 'f', env: {} })
  expect(config.policies.map(({ allow }) => allow)).toEqual([['/version'], ['/version']])
})
