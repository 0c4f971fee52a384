import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Config } from './config.ts'
import { loadConfigFile, type ParsedConfig, parseConfig } from './load-config.ts'
import { ConfigError, type Problem } from './problem.ts'
import { Secret } from './secret.ts'

const ADMIN = 'a'.repeat(64)
const USER = 'b'.repeat(64)
const TLS = 'tls:\n  key: ./srv.key\n  cert: ./srv.crt\n'
const STORE = 'keystore:\n  sqlite:\n    path: ./keys.db\n    passphrase: open sesame\n'
const HEAD = `admin:\n  identity: ${ADMIN}\n${TLS}` // Lines 1 to 5.
const VALID = `${HEAD}${STORE}`

/** A text of YAML that names a variable; written so because no template is meant. */
function variable(name: string): string {
  return `$\{${name}}`
}

function parse(text: string, env: Record<string, string> = {}): ParsedConfig {
  return parseConfig(text, { file: 'config.yml', env })
}

function config(text: string, env: Record<string, string> = {}): Config {
  const parsed = parse(text, env)
  expect(parsed.warnings).toEqual([])
  return parsed.config
}

function refusal(text: string, env: Record<string, string> = {}): ConfigError {
  try {
    parse(text, env)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the config was accepted')
}

/** `line:column severity message`, for each problem. */
function places(problems: readonly Problem[]): string[] {
  return problems.map(({ line, column, severity, message }) => `${line}:${column} ${severity} ${message}`)
}

/** A config with one key store other than sqlite. */
function withStore(text: string): string {
  const lines = text.split('\n').map((line) => `  ${line}\n`)
  return `${HEAD}keystore:\n${lines.join('')}`
}

const INVALID_TYPES = 'yaml: unmarshal errors:\n  line'

// --- The table of validation errors --------------------------------------------------------------------------

test.each([
  ['an empty file', '', 'EOF'],
  ['only comments', '# nothing\n\n# here\n', 'EOF'],
  ['no mapping', 'hello', `${INVALID_TYPES} 1: cannot unmarshal !!str \`hello\` into kesconf.ymlFile`],
  ['a list', '\n- a', `${INVALID_TYPES} 2: cannot unmarshal !!seq into kesconf.ymlFile`],
  ['broken syntax', '[', 'yaml: line 1: did not find expected node content'],
  ['another version', `version: v2\n${VALID}`, "edge: invalid server config version 'v2'"],
  [
    'a variable as version',
    `version: ${variable('V')}\n${VALID}`,
    `edge: invalid server config version '${variable('V')}'`,
  ],
  ['a version that is no scalar', `version: [v1]\n${VALID}`, "kesconf: invalid config version at line '1'"],
  ['no admin', `${TLS}${STORE}`, 'kesconf: invalid admin identity: no admin identity'],
  [
    'an empty admin',
    `admin: {identity: ""}\n${TLS}${STORE}`,
    'kesconf: invalid admin identity: no admin identity',
  ],
  ['no TLS', `admin: {identity: x}\n${STORE}`, 'kesconf: invalid tls config: no private key'],
  [
    'no TLS key',
    `admin: {identity: x}\ntls: {cert: c}\n${STORE}`,
    'kesconf: invalid tls config: no private key',
  ],
  [
    'no TLS certificate',
    `admin: {identity: x}\ntls: {key: k}\n${STORE}`,
    'kesconf: invalid tls config: no certificate',
  ],
  ['another TLS auth', `${HEAD}  auth: yes\n${STORE}`, "kesconf: invalid tls config: invalid auth '{ yes}'"],
  [
    'a proxy that is the admin',
    `${HEAD}  proxy: {identities: [${ADMIN}]}\n${STORE}`,
    `kesconf: invalid tls proxy: identity '${ADMIN}' is already admin`,
  ],
  [
    'a user that is the admin',
    `${VALID}policy: {p: {identities: [${ADMIN}]}}`,
    `kesconf: invalid policy 'p': identity '${ADMIN}' is already admin`,
  ],
  [
    'a user that is a proxy',
    `${HEAD}  proxy: {identities: [${USER}]}\n${STORE}policy: {p: {identities: [${USER}]}}`,
    `kesconf: invalid policy 'p': identity '${USER}' is already a TLS proxy`,
  ],
  ['a negative cache expiry', `${VALID}cache: {expiry: {any: -1s}}`, "kesconf: invalid cache expiry '-1s'"],
  [
    'a negative unused expiry',
    `${VALID}cache: {expiry: {unused: -90s}}`,
    "kesconf: invalid cache unused expiry '-1m30s'",
  ],
  [
    'a negative offline expiry',
    `${VALID}cache: {expiry: {offline: -1ns}}`,
    "kesconf: invalid offline cache expiry '-1ns'",
  ],
  [
    'a word for a duration',
    `${VALID}cache:\n  expiry:\n    any: abc\n`,
    `${INVALID_TYPES} 12: cannot unmarshal !!str \`abc\` into time.Duration`,
  ],
  [
    'a duration without unit',
    `${VALID}cache:\n  expiry:\n    any: 5\n`,
    `${INVALID_TYPES} 12: cannot unmarshal !!int \`5\` into time.Duration`,
  ],
  [
    'a long word for a duration',
    `${VALID}cache: {expiry: {any: five minutes}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!str \`five mi...\` into time.Duration`,
  ],
  ['an unknown log level', `${VALID}log: {error: FOO}`, 'strconv.Atoi: parsing "FOO": invalid syntax'],
  ['a log level below another', `${VALID}log: {audit: WARN-1}`, "kesconf: invalid log level 'WARN-1'"],
  [
    'a log level with a bad suffix',
    `${VALID}log: {error: INFO+X}`,
    'kesconf: invalid log level suffix \'X\': strconv.Atoi: parsing "X": invalid syntax',
  ],
  [
    'a negative timeout',
    `${VALID}api: {/v1/ready: {timeout: -1s}}`,
    "kesconf: invalid timeout '-1000000000' for API '/v1/ready'",
  ],
  [
    'a word for a boolean',
    `${VALID}api: {/v1/ready: {skip_auth: maybe}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!str \`maybe\` into bool`,
  ],
  [
    'a quoted boolean',
    `${VALID}api: {/v1/ready: {skip_auth: "true"}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!str \`true\` into bool`,
  ],
  ['a list for a text', `${VALID}address: [a]`, `${INVALID_TYPES} 10: cannot unmarshal !!seq into string`],
  [
    'a text for a list',
    `${VALID}policy: {p: {allow: /v1/status}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!str into []string`,
  ],
  [
    'a mapping in a list',
    `${VALID}policy: {p: {allow: [{a: b}]}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!map into string`,
  ],
  ['a text for a section', `${VALID}cache: off`, `${INVALID_TYPES} 10: cannot unmarshal !!str into map`],
  [
    'a key twice',
    `${VALID}keys: [{name: a}, {name: b}, {name: a}]`,
    "kesconf: invalid key config: key 'a' is defined multiple times",
  ],
  ['a text as a key', `${VALID}keys: [a]`, `${INVALID_TYPES} 10: cannot unmarshal !!str into map`],
  ['no key store', HEAD, 'kesconf: no keystore specified'],
  ['an empty key store', `${HEAD}keystore: {}`, 'kesconf: no keystore specified'],
  ['another KES as key store', `${HEAD}keystore: {kes: {endpoint: x}}`, 'kesconf: no keystore specified'],
  [
    'two key stores',
    `${VALID}  fs: {path: ./keys}\n`,
    'kesconf: invalid keystore config: more than once keystore specified',
  ],
  [
    'a variable that is not set',
    `${HEAD}  password: ${variable('NOPE')}\n${STORE}`,
    "kesconf: referenced env. variable 'NOPE' in line '6' not found",
  ],
  ['an address without port', `${VALID}address: foo`, 'address foo: missing port in address'],
  ['an address with a host name', `${VALID}address: localhost:7373`, "'localhost' is not a valid IP address"],
  [
    'a bad policy name',
    `${VALID}policy: {a.b: {}}`,
    "kes: policy name 'a.b' is empty, too long or contains invalid characters",
  ],
  [
    'a bad identity',
    `${VALID}policy: {p: {identities: [x/y]}}`,
    "kes: identity 'x/y' is empty, too long or contains invalid characters",
  ],
  [
    'an empty identity',
    `${VALID}policy: {p: {identities: [""]}}`,
    "kes: identity '' is empty, too long or contains invalid characters",
  ],
  [
    'an identity in two policies',
    `${VALID}policy: {p: {identities: [x]}, q: {identities: [x]}}`,
    "kes: cannot assign policy 'q' to 'x': identity already has a policy",
  ],
  [
    'an identity twice in a policy',
    `${VALID}policy: {p: {identities: [x, x]}}`,
    "kes: cannot assign policy 'p' to 'x': identity already has a policy",
  ],
  [
    'a bad key name',
    `${VALID}keys: [{name: a b}]`,
    "kes: key name 'a b' is empty, too long or contains invalid characters",
  ],
  [
    'a key without name',
    `${VALID}keys: [{}]`,
    "kes: key name '' is empty, too long or contains invalid characters",
  ],
  ['a port out of range', `${VALID}address: 127.0.0.1:99999`, 'listen tcp: address 99999: invalid port'],
  [
    'a field twice',
    `${VALID}${STORE}`,
    `${INVALID_TYPES} 10: mapping key "keystore" already defined at line 6`,
  ],
  [
    'an unknown field twice',
    `${VALID}x: {y: 1, y: 2}`,
    `${INVALID_TYPES} 10: mapping key "y" already defined at line 10`,
  ],
  ['an alias without anchor', `${VALID}address: *nope`, 'yaml: line 10: unknown anchor referenced'],
  ['a control character', `${VALID}address: "\u0000"`, 'yaml: line 10: control characters are not allowed'],
  [
    'an unknown rule for erased names',
    `${VALID}keys: {erased_names: gone}`,
    "kesconf: invalid key config: invalid erased_names 'gone'",
  ],
  [
    'a waiting period without a unit',
    `${VALID}keys: {deletion: {waiting_period: 7}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!int \`7\` into time.Duration`,
  ],
  [
    'a waiting period that is no time',
    `${VALID}keys: {deletion: {waiting_period: a week}}`,
    `${INVALID_TYPES} 10: cannot unmarshal !!str \`a week\` into time.Duration`,
  ],
])('%s is refused in the words of KES', (_, text, message) => {
  const error = refusal(text)
  expect(error.message).toBe(message)
  for (const problem of error.problems) expect(problem.line).toBeGreaterThan(0)
})

const VAULT = 'kesconf: invalid vault keystore: '
const AWS = 'kesconf: invalid AWS secretsmanager keystore: '
const AZURE = 'kesconf: invalid Azure keyvault keystore: '
const GCP = 'kesconf: invalid GCP secretmanager keystore: '
const FORTANIX = 'kesconf: invalid fortanix SDKMS keystore: '
const GEMALTO = 'kesconf: invalid gemalto keysecure keystore: '
const ENTRUST = 'kesconf: invalid Entrust KeyControl keystore: '
const SQLITE = 'kesconf: invalid sqlite keystore: '
const APPROLE = 'approle: {id: i, secret: s}'
const ONE_OF = 'passphrase, passphrase_file or key_file specified'

test.each([
  ['fs: {}', 'kesconf: invalid fs keystore: no path specified'],
  [
    'fs: {path: p, key_file: k, passphrase: x}',
    'kesconf: invalid fs keystore: more than one of passphrase, passphrase_file or key_file specified',
  ],
  ['fs: {path: p, argon2: {memory: 1MiB}}', "kesconf: invalid fs keystore: invalid argon2 memory '1MiB'"],
  ['sqlite: {passphrase: x}', `${SQLITE}no path specified`],
  ['sqlite: {path: x}', `${SQLITE}no ${ONE_OF}`],
  ['sqlite: {path: x, passphrase: ""}', `${SQLITE}passphrase is empty`],
  ['sqlite: {path: x, passphrase: y, key_file: z}', `${SQLITE}more than one of ${ONE_OF}`],
  ['sqlite: {path: x, passphrase_file: y, key_file: z}', `${SQLITE}more than one of ${ONE_OF}`],
  ['sqlite: {path: x, key_file: z, argon2: {memory: 64MB}}', `${SQLITE}invalid argon2 memory '64MB'`],
  ['sqlite: {path: x, key_file: z, argon2: {memory: 8191KiB}}', `${SQLITE}invalid argon2 memory '8191KiB'`],
  ['sqlite: {path: x, key_file: z, argon2: {memory: 1025MiB}}', `${SQLITE}invalid argon2 memory '1025MiB'`],
  [
    'sqlite: {path: x, key_file: z, argon2: {passes: 0}}',
    `${INVALID_TYPES} 7: cannot unmarshal !!int \`0\` into int`,
  ],
  [
    'sqlite: {path: x, key_file: z, argon2: {passes: 17}}',
    `${INVALID_TYPES} 7: cannot unmarshal !!int \`17\` into int`,
  ],
  [
    'sqlite: {path: x, key_file: z, argon2: {parallelism: 1.5}}',
    `${INVALID_TYPES} 7: cannot unmarshal !!float \`1.5\` into int`,
  ],
  [`vault: {${APPROLE}}`, `${VAULT}no endpoint specified`],
  ['vault: {endpoint: e}', `${VAULT}no authentication method specified`],
  [
    `vault: {endpoint: e, ${APPROLE}, kubernetes: {jwt: j}}`,
    `${VAULT}more than one authentication method specified`,
  ],
  ['vault: {endpoint: e, approle: {secret: s}}', `${VAULT}invalid approle config: no approle ID specified`],
  ['vault: {endpoint: e, approle: {id: i}}', `${VAULT}invalid approle config: no approle secret specified`],
  ['vault: {endpoint: e, kubernetes: {role: r}}', `${VAULT}invalid kubernetes config: no JWT specified`],
  [`vault: {endpoint: e, ${APPROLE}, transit: {}}`, `${VAULT}invalid transit config: no key name specified`],
  [
    `vault: {endpoint: e, ${APPROLE}, tls: {key: k}}`,
    `${VAULT}invalid tls config: no TLS certificate provided`,
  ],
  [
    `vault: {endpoint: e, ${APPROLE}, tls: {cert: c}}`,
    `${VAULT}invalid tls config: no TLS private key provided`,
  ],
  [`vault: {endpoint: e, ${APPROLE}, version: v3}`, "vault: invalid engine API version 'v3'"],
  [`vault: {endpoint: e, ${APPROLE}, status: {ping: -1s}}`, `${VAULT}invalid status ping '-1s'`],
  [
    'vault: {endpoint: e, kubernetes: {jwt: /nope}}',
    "kesconf: failed to read vault kubernetes JWT from '/nope': open /nope: no such file or directory",
  ],
  ['aws: {secretsmanager: {region: r}}', `${AWS}no endpoint specified`],
  ['aws: {secretsmanager: {endpoint: e}}', `${AWS}no region specified`],
  [
    'aws: {secretsmanager: {endpoint: e, region: r, credentials: {accesskey: a}}}',
    `${AWS}no secret key specified`,
  ],
  [
    'aws: {secretsmanager: {endpoint: e, region: r, credentials: {token: t}}}',
    `${AWS}no access key specified`,
  ],
  ['aws: x', `${INVALID_TYPES} 7: cannot unmarshal !!str into map`],
  ['azure: {keyvault: {}}', `${AZURE}no endpoint specified`],
  ['azure: {keyvault: {endpoint: e, credentials: {}}}', `${AZURE}no tenant ID specified`],
  ['azure: {keyvault: {endpoint: e, credentials: {tenant_id: t}}}', `${AZURE}no client ID specified`],
  [
    'azure: {keyvault: {endpoint: e, credentials: {tenant_id: t, client_id: c}}}',
    `${AZURE}no client secret specified`,
  ],
  ['azure: {keyvault: {endpoint: e, managed_identity: {}}}', `${AZURE}no client ID specified`],
  [
    'azure: {keyvault: {endpoint: e, managed_identity: {client_id: c}, credentials: {tenant_id: t, client_id: c, client_secret: s}}}',
    `${AZURE}more than one authentication method specified`,
  ],
  ['gcp: {secretmanager: {}}', `${GCP}no project ID specified`],
  ['gcp: {secretmanager: {project_id: p, credentials: {client_email: e}}}', `${GCP}no client ID specified`],
  ['gcp: {secretmanager: {project_id: p, credentials: {private_key: k}}}', `${GCP}no client email specified`],
  ['fortanix: {sdkms: {credentials: {key: k}}}', `${FORTANIX}no endpoint specified`],
  ['fortanix: {sdkms: {endpoint: e}}', `${FORTANIX}no API key specified`],
  ['gemalto: {keysecure: {credentials: {token: t}}}', `${GEMALTO}no endpoint specified`],
  ['gemalto: {keysecure: {endpoint: e}}', `${GEMALTO}no token specified`],
  [
    'entrust: {keycontrol: {vault_id: v, box_id: b, credentials: {username: u, password: p}}}',
    `${ENTRUST}no endpoint specified`,
  ],
  [
    'entrust: {keycontrol: {endpoint: e, box_id: b, credentials: {username: u, password: p}}}',
    `${ENTRUST}no vault ID specified`,
  ],
  [
    'entrust: {keycontrol: {endpoint: e, vault_id: v, credentials: {username: u, password: p}}}',
    `${ENTRUST}no box ID specified`,
  ],
  ['entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b}}', `${ENTRUST}no username specified`],
  [
    'entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b, credentials: {username: u}}}',
    `${ENTRUST}no password specified`,
  ],
])('the key store %s is refused', (store, message) => {
  expect(refusal(withStore(store)).message).toBe(message)
})

test('a file that is not there is refused in the words of KES', () => {
  expect(() => loadConfigFile('./nope.yml')).toThrow('open ./nope.yml: no such file or directory')
  expect(() => loadConfigFile('')).toThrow('open : no such file or directory')
  const long = `./${'x'.repeat(300)}.yml`
  expect(() => loadConfigFile(long)).toThrow(`open ${long}: file name too long`)
  expect(() => loadConfigFile(import.meta.dirname)).toThrow(`read ${import.meta.dirname}: is a directory`)
})

test('a file that is no UTF-8 is refused, and a byte order mark is not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'))
  const file = join(folder, 'config.yml')
  try {
    writeFileSync(file, Buffer.from([0x61, 0x3a, 0xff]))
    expect(() => loadConfigFile(file)).toThrow('yaml: invalid UTF-8')
    writeFileSync(file, Buffer.concat([Buffer.from('é: 1\nab: '), Buffer.from([0xff])]))
    expect(() => loadConfigFile(file)).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ line: 2, column: 5 })] }),
    )
    writeFileSync(file, `\ufeff${VALID}`)
    expect(loadConfigFile(file).config.adminIdentity).toBe(ADMIN)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

// --- All problems, in order ----------------------------------------------------------------------------------

test('every problem of a file is reported in file order, and the message is the one that KES names', () => {
  const error = refusal(
    'polices: {}\nlog: {error: FOO}\ncache: {expiry: {any: 5, unused: x}}\ntls: {key: k}\naddress: foo\n',
  )
  expect(error.message).toBe(
    `${INVALID_TYPES} 3: cannot unmarshal !!int \`5\` into time.Duration\n  line 3: cannot unmarshal !!str \`x\` into time.Duration`,
  )
  expect(places(error.problems)).toEqual([
    '1:1 error kesconf: invalid admin identity: no admin identity',
    '1:1 error kesconf: no keystore specified',
    "1:1 warning unknown field 'polices' is ignored",
    '2:14 error strconv.Atoi: parsing "FOO": invalid syntax',
    '3:23 error cannot unmarshal !!int `5` into time.Duration',
    '3:34 error cannot unmarshal !!str `x` into time.Duration',
    '4:1 error kesconf: invalid tls config: no certificate',
    '5:10 error address foo: missing port in address',
  ])
  expect(error.format().split('\n')[2]).toBe(
    "config.yml:1:1: warning: unknown field 'polices' is ignored (did you mean 'policy'?)",
  )
})

test('what KES finds only after its banner yields to what it finds before', () => {
  const late = 'policy: {a.b: {}}\n'
  expect(refusal(`${late}${HEAD}`).message).toBe('kesconf: no keystore specified')
})

test('a wrong field is not reported as missing too', () => {
  const error = refusal(`admin: {identity: "${variable('NOPE')}"}\ntls: {key: [], cert: c}\n${STORE}`)
  expect(error.problems.map(({ line }) => line)).toEqual([1, 2])
  expect(refusal(withStore('vault: x')).problems).toHaveLength(1)
  expect(refusal(`${HEAD}keystore: x`).problems).toHaveLength(1)
})

test('what stands in two places by an alias has its problem once', () => {
  const merged = `policy:\n  a: &a {identities: ["${variable('NOPE')}"]}\n  b: {<<: *a}\n`
  expect(places(refusal(`${VALID}${merged}`).problems)).toEqual([
    "11:23 error kesconf: referenced env. variable 'NOPE' in line '11' not found",
  ])
})

// --- Warnings ------------------------------------------------------------------------------------------------

test.each([
  ['adress: 0.0.0.0:1', '10:1', "did you mean 'address'?"],
  ['Admin: {}', '10:1', "did you mean 'admin'?"],
  ['fs: {path: ./keys}', '10:1', 'remove it'],
  ['root: x', '10:1', 'remove it'],
  [
    'routes: x',
    '10:1',
    'known here: version, address, workers, admin, tls, api, policy, cache, log, keys, keystore, console',
  ],
  ['cache: {expiry: {ever: 5m}}', '10:18', 'known here: any, unused, offline'],
  ['cache: {any: 5m}', '10:9', "'any' belongs to cache.expiry.any"],
  ['policy: {p: {identity: x}}', '10:14', "did you mean 'identities'?"],
  ['policy: {p: {x: &b {}}, q: {<<: *b}}', '10:14', 'known here: allow, deny, identities'],
  ['  FS: {path: ./keys}', '10:3', "did you mean 'fs'?"],
  ['  keys: {path: ./keys}', '10:3', undefined],
  ['api: {/v1/ready: {skipauth: true}}', '10:19', "did you mean 'skip_auth'?"],
  ['api: {/v1/key/create: {}}', '10:7', "write '/v1/key/create/'"],
  ['api: {/v1/raedy: {}}', '10:7', "write '/v1/ready'"],
  ['api: {/nope: {}}', '10:7', undefined],
  ['keys: {fs: {path: ./keys}}', '10:8', 'remove it'],
  ['keys: [{name: a, algorithm: b}]', '10:18', 'known here: name'],
  ['keys: {deletion: {after: 7d}}', '10:19', 'known here: waiting_period'],
  ['keys: {predefined: [{nam: a, name: b}]}', '10:22', "did you mean 'name'?"],
  ['log: {stderr: on}', '10:7', 'known here: error, audit'],
])('%s is a warning with what to write, and an error when strict', (text, place, hint) => {
  const { warnings } = parse(`${VALID}${text}`)
  expect(warnings.map(({ line, column }) => `${line}:${column}`)).toEqual([place])
  if (hint !== undefined) expect(warnings[0]?.hint).toBe(hint)
  expect(() => parseConfig(`${VALID}${text}`, { file: 'f', env: {}, strict: true })).toThrow(ConfigError)
})

test('a second document is ignored with a warning, broken or not', () => {
  expect(places(parse(`${VALID}---\nadmin: {}\n`).warnings)).toEqual([
    '11:1 warning only the first document of the file is read',
  ])
  expect(parse(`${VALID}---\n[`).warnings).toHaveLength(1)
})

test.each([
  [`{identities: [${USER}]}`, "6:3 warning 'tls.proxy' has no effect without 'tls.proxy.header.cert'"],
  ['{header: {cert: X-Cert}}', "6:3 warning 'tls.proxy' has no effect without 'tls.proxy.identities'"],
  [
    `{identities: [kes:v1:secret], header: {cert: X-Cert}}`,
    "6:24 warning 'kes:v1:***' is no identity: no proxy has it",
  ],
])('a TLS proxy that can not be one is a warning: %s', (proxy, warning) => {
  expect(places(parse(`${HEAD}  proxy: ${proxy}\n${STORE}`).warnings)).toEqual([warning])
})

test.each(['X Cert', 'X-Cert:', ':path', 'X\u00e9'])('a proxy can not use the header %j', (name) => {
  const proxy = `{identities: [${USER}], header: {cert: ${JSON.stringify(name)}}}`
  expect(refusal(`${HEAD}  proxy: ${proxy}\n${STORE}`).message).toContain('is no name of a header')
})

test('a pattern that matches no API is a warning at the pattern', () => {
  const { warnings, config } = parse(`${VALID}policy:\n  p:\n    allow:\n    - /v1/status\n    - v1/ready\n`)
  expect(places(warnings)).toEqual(["14:7 warning the pattern 'v1/ready' matches no API"])
  expect(config.policies[0]?.allow).toEqual(['/v1/status', 'v1/ready'])
})

// --- Values --------------------------------------------------------------------------------------------------

test('what a file leaves out has its default', () => {
  expect(config(VALID)).toEqual({
    version: 'v1',
    address: { host: '0.0.0.0', port: 7373 },
    adminIdentity: ADMIN,
    adminIsDisabled: false,
    tls: {
      keyFile: './srv.key',
      certFile: './srv.crt',
      password: undefined,
      auth: false,
      caPath: undefined,
      proxy: { identities: [], certHeader: undefined },
    },
    api: new Map(),
    policies: [],
    cache: { anyMs: 300_000, unusedMs: 30_000, offlineMs: 0 },
    log: { errorLevel: 0, auditLevel: 0 },
    keys: [],
    keysOptions: { erasedNames: 'reserved', waitingPeriodMs: 0 },
    keystore: {
      type: 'sqlite',
      path: './keys.db',
      unseal: { type: 'passphrase', passphrase: new Secret('open sesame') },
      argon2: { memoryBytes: 67_108_864, passes: 3, parallelism: 4 },
    },
  })
})

test('null, an empty section and an empty text leave a field at its default', () => {
  const empty =
    'version:\naddress: ""\napi:\npolicy: ~\ncache: {expiry: {any: 0s}}\nlog: {error: }\nkeys: []\n'
  expect(config(`${VALID}${empty}`)).toEqual(config(VALID))
})

test('every field is read', () => {
  const text = `
version: v1
address: "[::1]:1234"
admin: {identity: disabled}
tls:
  key: k
  cert: c
  password: p
  auth: ON
  ca: ./ca
  proxy:
    identities: [proxy-1]
    header: {cert: X-Cert}
api:
  /v1/ready: {skip_auth: on, timeout: 1500ms}
  /v1/status: {skip_auth: no, timeout: 0s}
policy:
  empty: {}
  none:
  app: {allow: [/v1/key/create/*], deny: [/v1/key/create/x], identities: [app-1, ${USER}]}
cache: {expiry: {any: 1h, unused: 1m30s, offline: 1us}}
log: {error: debug, audit: off}
keys: [{name: a}, {name: b}]
keystore: {sqlite: {path: k.db, key_file: r.key, argon2: {memory: 128MiB, passes: 5, parallelism: 2}}}
`
  const { config: read, warnings } = parse(text)
  expect(places(warnings)).toEqual(["12:18 warning 'proxy-1' is no identity: no proxy has it"])
  expect(read).toMatchObject({
    address: { host: '::1', port: 1234 },
    adminIdentity: 'disabled',
    adminIsDisabled: true,
    tls: { auth: true, caPath: './ca', proxy: { identities: ['proxy-1'], certHeader: 'X-Cert' } },
    cache: { anyMs: 3_600_000, unusedMs: 90_000, offlineMs: 0.001 },
    log: { errorLevel: -4, auditLevel: 9 },
    keys: ['a', 'b'],
    keystore: {
      unseal: { type: 'key-file', path: 'r.key' },
      argon2: { memoryBytes: 134_217_728, passes: 5, parallelism: 2 },
    },
  })
  expect(read.tls.password?.reveal()).toBe('p')
  expect([...read.api]).toEqual([
    ['/v1/ready', { skipAuth: true, timeoutMs: 1500 }],
    ['/v1/status', { skipAuth: false, timeoutMs: undefined }],
  ])
  expect(read.policies).toEqual([
    { name: 'empty', allow: [], deny: [], identities: [] },
    { name: 'none', allow: [], deny: [], identities: [] },
    { name: 'app', allow: ['/v1/key/create/*'], deny: ['/v1/key/create/x'], identities: ['app-1', USER] },
  ])
})

test('one cache expiry does not change the other', () => {
  const cache = (expiry: string) => config(`${VALID}cache: {expiry: {${expiry}}}`).cache
  expect(cache('any: 1m')).toEqual({ anyMs: 60_000, unusedMs: 30_000, offlineMs: 0 })
  expect(cache('unused: 1m')).toEqual({ anyMs: 300_000, unusedMs: 60_000, offlineMs: 0 })
})

test('keys as a mapping have the list of KES and the rule for erased names', () => {
  const keys = (text: string) => {
    const { keys: names, keysOptions } = config(`${VALID}keys: ${text}`)
    return { names, ...keysOptions }
  }
  const none = { waitingPeriodMs: 0 }
  expect(keys('{erased_names: free, predefined: [{name: a}]}')).toEqual({
    names: ['a'],
    erasedNames: 'free',
    ...none,
  })
  expect(keys('{predefined: [{name: a}]}')).toEqual({ names: ['a'], erasedNames: 'reserved', ...none })
  expect(keys('{erased_names: reserved}')).toEqual({ names: [], erasedNames: 'reserved', ...none })
})

test.each([
  ['7d', 604_800_000],
  ['36h', 129_600_000],
  ['0', 0],
])('a waiting period of %s is %i ms', (period, waitingPeriodMs) => {
  const { keysOptions } = config(`${VALID}keys: {deletion: {waiting_period: ${period}}}`)
  expect(keysOptions).toEqual({ erasedNames: 'reserved', waitingPeriodMs })
})

test('an identity of 64 hex digits is read in lower case, and no other is', () => {
  const upper = `admin: {identity: ${ADMIN.toUpperCase()}}\n${TLS}${STORE}policy: {p: {identities: [${USER.toUpperCase()}, App]}}`
  const read = config(upper)
  expect(read.adminIdentity).toBe(ADMIN)
  expect(read.adminIsDisabled).toBe(false)
  expect(read.policies[0]?.identities).toEqual([USER, 'App'])
  expect(refusal(`${VALID}policy: {p: {identities: [${ADMIN.toUpperCase()}]}}`).message).toContain(
    'is already admin',
  )
})

test('anchors, aliases and merge keys mean what they mean to KES', () => {
  const text = `${VALID}policy:\n  a: &a {allow: [/v1/status], identities: &ids [x]}\n  b: {<<: *a, identities: [y]}\n  c: {<<: [*a], identities: []}\n`
  expect(config(text).policies.map(({ allow, identities }) => [...allow, ...identities].join())).toEqual([
    '/v1/status,x',
    '/v1/status,y',
    '/v1/status',
  ])
  expect(() => parse(`${VALID}policy: {a: &a {<<: *a}}`)).toThrow('map merge requires map')
  expect(() => parse(`${VALID}policy: &p {a: *p}`)).not.toThrow()
})

test('every key store of KES is read', () => {
  const store = (text: string) => config(withStore(text)).keystore
  expect(store('fs: {path: ./keys}')).toEqual({
    type: 'fs',
    path: './keys',
    databasePath: undefined,
    unseal: undefined,
    argon2: { memoryBytes: 64 * 2 ** 20, passes: 3, parallelism: 4 },
  })
  expect(store('fs: {path: k, database: d, key_file: f}')).toMatchObject({
    databasePath: 'd',
    unseal: { type: 'key-file', path: 'f' },
  })
  expect(store('vault: {endpoint: e, approle: {id: i, secret: s}}')).toEqual({
    type: 'vault',
    endpoint: 'e',
    engine: 'kv',
    version: 'v1',
    namespace: undefined,
    prefix: undefined,
    transit: undefined,
    login: { type: 'approle', engine: 'approle', namespace: undefined, id: 'i', secret: new Secret('s') },
    tls: { keyFile: undefined, certFile: undefined, caPath: undefined },
    pingMs: 15_000,
  })
  expect(
    store(
      'vault: {endpoint: e, engine: g, version: v2, namespace: n, prefix: p, transit: {key: t}, kubernetes: {role: r, jwt: j, namespace: /}, tls: {key: k, cert: c, ca: a}, status: {ping: 1s}}',
    ),
  ).toMatchObject({
    engine: 'g',
    version: 'v2',
    transit: { engine: 'transit', key: 't' },
    login: { type: 'kubernetes', engine: 'kubernetes', namespace: '/', role: 'r' },
    tls: { keyFile: 'k', certFile: 'c', caPath: 'a' },
    pingMs: 1000,
  })
  expect(
    store('aws: {secretsmanager: {endpoint: e, region: r, credentials: {accesskey: "", token: ""}}}'),
  ).toEqual({
    type: 'aws-secretsmanager',
    endpoint: 'e',
    region: 'r',
    kmsKey: undefined,
    credentials: undefined,
  })
  expect(store('azure: {keyvault: {endpoint: e, managed_identity: {client_id: c}}}')).toEqual({
    type: 'azure-keyvault',
    endpoint: 'e',
    login: { type: 'managed-identity', clientId: 'c' },
  })
  expect(store('azure: {keyvault: {endpoint: e}}')).toMatchObject({ login: undefined })
  expect(store('gcp: {secretmanager: {project_id: p, scopes: [a, b]}}')).toEqual({
    type: 'gcp-secretmanager',
    projectId: 'p',
    endpoint: undefined,
    scopes: ['a', 'b'],
    credentials: undefined,
  })
  expect(
    store('fortanix: {sdkms: {endpoint: e, group_id: g, credentials: {key: k}, tls: {ca: c}}}'),
  ).toMatchObject({
    type: 'fortanix-sdkms',
    groupId: 'g',
    caPath: 'c',
  })
  expect(store('gemalto: {keysecure: {endpoint: e, credentials: {token: t, domain: d}}}')).toMatchObject({
    type: 'gemalto-keysecure',
    domain: 'd',
  })
  const entrust =
    'entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b, credentials: {username: u, password: p}}}'
  expect(store(entrust)).toMatchObject({
    type: 'entrust-keycontrol',
    vaultId: 'v',
    boxId: 'b',
    username: 'u',
  })
})

test('the private key of a Google account has its line ends written as \\n', () => {
  const key =
    'gcp: {secretmanager: {project_id: p, credentials: {client_email: a, client_id: b, private_key_id: c, private_key: a\\nb}}}'
  const { keystore } = config(withStore(key))
  expect(keystore.type === 'gcp-secretmanager' && keystore.credentials?.privateKey.reveal()).toBe('a\nb')
})

test('a Vault JWT with a slash is a file, read when the config is', () => {
  const files: string[] = []
  const readFile = (path: string) => {
    files.push(path)
    return 'token'
  }
  const text = withStore('vault: {endpoint: e, kubernetes: {jwt: /run/jwt}}')
  const { keystore } = parseConfig(text, { file: 'f', env: {}, readFile }).config
  expect(files).toEqual(['/run/jwt'])
  expect(keystore).toMatchObject({ login: { jwt: { path: '/run/jwt' } } })
})

// --- Environment ---------------------------------------------------------------------------------------------

test('a value that is a variable as a whole is replaced, white space aside', () => {
  const at = (text: string) => config(`${VALID}address: ${text}`, { A: '127.0.0.1:1' }).address.port
  expect(at(variable('A'))).toBe(1)
  expect(at(`"  ${variable('  A ')} "`)).toBe(1)
  expect(at(`'${variable('A')}'`)).toBe(1)
})

test('lists, durations, levels, booleans, numbers and names of keys are replaced too', () => {
  const text = `${HEAD}  auth: ${variable('ON')}
  proxy: {identities: ["${variable('P')}"]}
api: {/v1/ready: {skip_auth: "${variable('B')}", timeout: "${variable('T')}"}}
policy: {p: {identities: ["${variable('I')}"]}}
log: {error: "${variable('L')}"}
keys: [{name: "${variable('K')}"}]
keystore: {sqlite: {path: x, passphrase: "${variable('S')}", argon2: {passes: "${variable('N')}"}}}
`
  const env = { ON: 'on', P: 'proxy', B: 'true', T: '2s', I: 'app', L: 'warn', K: 'key', S: 'secret', N: '7' }
  expect(parse(text, env).config).toMatchObject({
    tls: { auth: true, proxy: { identities: ['proxy'] } },
    api: new Map([['/v1/ready', { skipAuth: true, timeoutMs: 2000 }]]),
    policies: [{ identities: ['app'] }],
    log: { errorLevel: 4 },
    keys: ['key'],
    keystore: { argon2: { passes: 7 } },
  })
})

test('a variable that is empty counts as an empty value, one that is not set is an error', () => {
  const text = `${HEAD}  password: ${variable('X')}\n${STORE}api: {/v1/ready: {skip_auth: "${variable('X')}", timeout: "${variable('X')}"}}`
  expect(config(text, { X: '' }).tls.password).toBeUndefined()
  expect(refusal(text).problems).toHaveLength(3)
  expect(refusal(text.replaceAll('{X}', '{toString}')).message).toContain("variable 'toString'")
})

test('a variable inside a longer value, a pattern or a mapping key stands for itself', () => {
  const inner = `a${variable('X')}`
  const store = config(`${HEAD}keystore: {fs: {path: "${inner}"}}`, { X: 'x' }).keystore
  expect(store).toMatchObject({ type: 'fs', path: inner })
  const { warnings } = parse(`${VALID}policy: {p: {allow: ["${variable('X')}"]}}`, { X: '/v1/status' })
  expect(warnings[0]?.hint).toBe('environment variables are not replaced in patterns')
  expect(refusal(`${VALID}policy: {"${variable('X')}": {}}`, { X: 'p' }).message).toContain(variable('X'))
})

// --- Positions -----------------------------------------------------------------------------------------------

test('the place of every field is known for problems that show later', () => {
  const { positions } = parse(`${VALID}keys: [{name: a}]\npolicy: {p: {allow: []}}\n`)
  expect(positions.get('tls.key')).toEqual({ line: 4, column: 8 })
  expect(positions.get('keystore.sqlite.path')).toEqual({ line: 8, column: 11 })
  expect(positions.get('keys[0].name')).toEqual({ line: 10, column: 15 })
  expect(positions.get('policy.p.allow')).toEqual({ line: 11, column: 21 })
})

// --- Secrets -------------------------------------------------------------------------------------------------

const CANARY = 'xCANARYx'
const SECRET_STORES = [
  `sqlite: {path: p, passphrase: ${CANARY}}`,
  `vault: {endpoint: e, approle: {id: i, secret: ${CANARY}}}`,
  `vault: {endpoint: e, kubernetes: {role: r, jwt: ${CANARY}}}`,
  `aws: {secretsmanager: {endpoint: e, region: r, credentials: {accesskey: a, secretkey: ${CANARY}}}}`,
  `aws: {secretsmanager: {endpoint: e, region: r, credentials: {accesskey: a, secretkey: s, token: ${CANARY}}}}`,
  `azure: {keyvault: {endpoint: e, credentials: {tenant_id: t, client_id: c, client_secret: ${CANARY}}}}`,
  `gcp: {secretmanager: {project_id: p, credentials: {client_email: e, client_id: c, private_key_id: i, private_key: ${CANARY}}}}`,
  `fortanix: {sdkms: {endpoint: e, credentials: {key: ${CANARY}}}}`,
  `gemalto: {keysecure: {endpoint: e, credentials: {token: ${CANARY}}}}`,
  `entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b, credentials: {username: u, password: ${CANARY}}}}`,
]

/** Everything that a person may get to see of a config. */
function everythingPrinted(text: string, env: Record<string, string> = {}): string {
  try {
    const parsed = parse(text, env)
    return JSON.stringify([parsed.config, parsed.warnings])
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return `${error.message}\n${error.stack}\n${error.format()}`
  }
}

test.each(SECRET_STORES)('the secret of %s shows nowhere, whatever is wrong with it', (store) => {
  const shapes = [
    CANARY,
    `"${CANARY}`,
    `[${CANARY}]`,
    `{${CANARY}: x}`,
    `*${CANARY}`,
    `!${CANARY} x`,
    `- ${CANARY}`,
  ]
  for (const shape of shapes) {
    const text = withStore(store.replace(CANARY, shape))
    expect(everythingPrinted(text)).not.toContain(CANARY)
    expect(everythingPrinted(`${text}bad: : yaml`)).not.toContain(CANARY)
  }
  const replaced = withStore(store.replace(CANARY, `"${variable('SECRET')}"`))
  expect(everythingPrinted(replaced, { SECRET: CANARY })).not.toContain(CANARY)
  expect(everythingPrinted(withStore(store.replace(`: ${CANARY}`, `:${CANARY}`)))).not.toContain(CANARY)
  const whole = store.replace(/(credentials|approle|kubernetes): \{.*?\}/, `$1: ${CANARY}`)
  expect(everythingPrinted(withStore(whole))).not.toContain(CANARY)
})

test('an API key in the place of its identity is not repeated', () => {
  const apiKey = `kes:v1:${CANARY}`
  expect(everythingPrinted(`${VALID}policy: {p: {identities: ["${apiKey}"]}}`)).not.toContain(CANARY)
  const admin = parse(VALID.replace(ADMIN, apiKey))
  expect(admin.warnings[0]?.hint).toContain('kes identity of')
  expect(JSON.stringify(admin.warnings)).not.toContain(CANARY)
})

// --- Any text ------------------------------------------------------------------------------------------------

const RICH = `version: v1
address: 0.0.0.0:7373
admin:
  identity: ${ADMIN}
tls:
  key: ./srv.key
  cert: ./srv.crt
  password: ${CANARY}
  auth: on
api:
  /v1/ready: {skip_auth: true, timeout: 5s}
policy:
  app: &app
    allow: [/v1/key/create/*]
    identities: [${USER}]
  more: {<<: *app, identities: []}
cache: {expiry: {any: 5m, unused: 30s}}
log: {error: on, audit: WARN+1}
keys:
- name: my-key
keystore:
  sqlite:
    path: ./keys.db
    passphrase: ${CANARY}
`

const piece = fc.constantFrom(
  ...':-[]{}&*!|>#%@`"\',?\n\t \u0000~0$<aé'.split(''),
  '<<',
  '---\n',
  ': ',
  '\n  ',
)
const edit = fc.record({
  at: fc.nat({ max: RICH.length }),
  removed: fc.nat({ max: 12 }),
  added: fc.oneof(piece, fc.string({ maxLength: 3 })),
})

function edited(edits: readonly { at: number; removed: number; added: string }[]): string {
  let text = RICH
  for (const { at, removed, added } of edits) text = text.slice(0, at) + added + text.slice(at + removed)
  return text
}

test('whatever the text, the answer is a config or a ConfigError whose problems all have a place', () => {
  expect(config(RICH).keys).toEqual(['my-key'])
  const text = fc.oneof(
    fc.array(edit, { minLength: 1, maxLength: 4 }).map(edited),
    fc.string({ unit: 'binary' }),
  )
  fc.assert(
    fc.property(text, (input) => {
      try {
        for (const { line, column } of parse(input).warnings)
          expect((line ?? 0) * (column ?? 0)).toBeGreaterThan(0)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        expect(error.problems.some(({ severity }) => severity === 'error')).toBe(true)
        for (const { line, column } of error.problems) expect((line ?? 0) * (column ?? 0)).toBeGreaterThan(0)
      }
    }),
    { numRuns: 200 },
  )
})

test.each(['[', '- ', '{a: ', '? '])('nesting %j without end is refused', (text) => {
  expect(refusal(text.repeat(5000)).problems[0]?.line).toBe(1)
  expect(refusal(`${VALID}x: ${text.repeat(150)}`)).toBeInstanceOf(ConfigError)
})

test('one slip of the finger does not show a secret', () => {
  const slip = fc.record({
    at: fc.nat({ max: RICH.length }),
    removed: fc.nat({ max: 1 }),
    added: fc.oneof(piece, fc.constant('')),
  })
  fc.assert(
    fc.property(slip, (input) => {
      expect(everythingPrinted(edited([input]))).not.toContain(CANARY)
    }),
    { numRuns: 200 },
  )
})

describe('log.audit as a mapping', () => {
  const audit = (fields: string) =>
    config(`${VALID}log: {audit: {file: /var/log/kes/audit.jsonl${fields}}}`).log

  test('has a file that is kept for good, with new ones after 64 MiB or a day, beside stdout', () => {
    expect(audit('')).toEqual({
      errorLevel: 0,
      auditLevel: 0,
      auditFile: {
        path: '/var/log/kes/audit.jsonl',
        maxBytes: 64 * 2 ** 20,
        maxAgeMs: 86_400_000,
        keep: undefined,
        headIntervalMs: 1000,
      },
    })
  })

  test('reads every field', () => {
    const fields = ', stdout: off, max_size: 1GiB, max_age: 1h, keep: 3, head_interval: 1m'
    expect(audit(fields)).toEqual({
      errorLevel: 0,
      auditLevel: 9,
      auditFile: {
        path: '/var/log/kes/audit.jsonl',
        maxBytes: 2 ** 30,
        maxAgeMs: 3_600_000,
        keep: 3,
        headIntervalMs: 60_000,
      },
    })
    expect(audit(', keep: all').auditFile?.keep).toBeUndefined()
  })

  test.each([
    ['{stdout: off}', 'kesconf: invalid audit log: no file specified'],
    ['{file: /var/log/}', "kesconf: invalid audit log: '/var/log/' is no file"],
    ['{file: a, max_size: 1KiB}', "kesconf: invalid audit log: invalid max_size '1KiB'"],
    ['{file: a, max_size: 5}', "kesconf: invalid audit log: invalid max_size '5'"],
    ['{file: a, max_age: 1s}', "kesconf: invalid audit log: invalid max_age '1s'"],
    ['{file: a, max_age: -1h}', "kesconf: invalid audit log: invalid max_age '-1h0m0s'"],
    ['{file: a, head_interval: 1ms}', "kesconf: invalid audit log: invalid head_interval '1ms'"],
    ['{file: a, head_interval: 25h}', "kesconf: invalid audit log: invalid head_interval '25h0m0s'"],
    ['{file: a, stdout: loud}', 'strconv.Atoi: parsing "loud": invalid syntax'],
  ])('refuses %s', (mapping, message) => {
    expect(() => parse(`${VALID}log: {audit: ${mapping}}`)).toThrow(message)
  })

  test.each(['0', 'some'])('refuses to keep %s files', (keep) => {
    expect(() => audit(`, keep: ${keep}`)).toThrow(/into int/)
  })
})
