import { describe, expect, test } from 'vitest'
import { parseConfig } from './load-config.ts'
import { ConfigError } from './problem.ts'

const HEAD = 'admin: {identity: x}\ntls: {key: k, cert: c}\nkeystore: {fs: {path: p}}\n'

function consoleOf(text: string, env = {}) {
  return parseConfig(`${HEAD}${text}`, { file: 'f', env }).config.console
}

/** `line: message (hint)` of each problem. */
function problemsOf(text: string): string[] {
  try {
    consoleOf(text)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(
      ({ line, message, hint }) => `${line}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
    )
  }
}

test.each(['', 'console: off', 'console: false', 'console:'])(
  'there is none unless it is asked for: %j',
  (text) => {
    expect(consoleOf(text)).toBeUndefined()
  },
)

test.each(['console: on', 'console: {address: 127.0.0.1:9001}', 'console: {tls: off}'])(
  'by itself it is on this machine alone, without TLS: %j',
  (text) => {
    expect(consoleOf(text)).toEqual({
      address: { host: '127.0.0.1', port: 9001 },
      origin: undefined,
      tls: false,
      sandbox: false,
      node: undefined,
    })
  },
)

test('a node and its keys are read, from the environment too', () => {
  const text = `console: {node: {endpoint: "http://127.0.0.1:9000", access_key: a, secret_key: "\${SECRET}", ca: c}}`
  const node = consoleOf(text, { SECRET: 'very secret' })?.node
  expect(node).toMatchObject({ endpoint: 'http://127.0.0.1:9000', caPath: 'c' })
  expect([node?.accessKey.reveal(), node?.secretKey.reveal()]).toEqual(['a', 'very secret'])
  expect(JSON.stringify(node)).not.toContain('very secret')
})

describe('is refused, with its line:', () => {
  const INVALID = 'kesconf: invalid console config: '
  test.each([
    [
      'an address of other machines without TLS',
      'console:\n  address: 192.168.1.1:9001',
      `5: ${INVALID}192.168.1.1:9001 is reached from other machines, and has no TLS (write 'tls: true', or a loopback address)`,
    ],
    [
      'every interface without TLS',
      'console:\n  address: :9001',
      `5: ${INVALID}:9001 is reached from other machines, and has no TLS (write 'tls: true', or a loopback address)`,
    ],
    [
      'every interface without an origin',
      'console:\n  address: 0.0.0.0:9001\n  tls: true',
      `4: ${INVALID}no origin, and the address is no single one (write the URL that browsers open)`,
    ],
    [
      'a host name as address',
      'console:\n  address: localhost:9001',
      `5: ${INVALID}'localhost' is not a valid IP address (write an IP address and a port, such as 127.0.0.1:9001)`,
    ],
    [
      'an origin with a path',
      'console:\n  origin: https://kes.example/console',
      `5: ${INVALID}invalid origin 'https://kes.example/console' (write scheme, host and port: 'https://kes.example.com:9001')`,
    ],
    [
      'an origin without TLS elsewhere',
      'console:\n  origin: http://kes.example',
      `5: ${INVALID}in pages of origin 'http://kes.example' browsers have no cryptography to log in with (write https)`,
    ],
    [
      'an origin of another scheme than the listener',
      'console:\n  tls: on\n  origin: http://127.0.0.1:9001',
      `6: ${INVALID}origin 'http://127.0.0.1:9001' is not https, and the console has TLS (write https)`,
    ],
    [
      'a node without keys',
      'console:\n  node:\n    endpoint: http://n:9000',
      `5: ${INVALID}no access key of the node (add 'console.node.access_key')`,
    ],
    [
      'a node whose endpoint is no URL',
      'console: {node: {endpoint: n, access_key: a, secret_key: s}}',
      `4: ${INVALID}invalid endpoint of the node (write scheme, host and port: 'http://127.0.0.1:9000')`,
    ],
    [
      'another word than on and off',
      'console: maybe',
      '4: cannot unmarshal !!str `maybe` into bool (write true or false)',
    ],
  ])('%s', (_, text, problem) => {
    expect(problemsOf(text)[0]).toBe(problem)
  })

  test('and the secret of a node is not shown', () => {
    const text = 'console:\n  node: {endpoint: "x y", access_key: secret-1, secret_key: secret-2}'
    expect(problemsOf(text).join()).not.toContain('secret-')
  })
})
