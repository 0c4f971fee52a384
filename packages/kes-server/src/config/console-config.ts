/** `console`: the web console, which is ours. `on`, or a mapping of its settings. */
import { type Address, AddressError, formatAddress, parseAddress } from './address.ts'
import type { ConsoleConfig, ConsoleNodeConfig } from './config.ts'
import type { Section } from './section.ts'

export const DEFAULT_CONSOLE_ADDRESS: Address = { host: '127.0.0.1', port: 9001 }

const INVALID = 'kesconf: invalid console config: '

export function readConsole(file: Section): ConsoleConfig | undefined {
  if (!file.isMapping('console')) {
    return file.boolean('console')
      ? { address: DEFAULT_CONSOLE_ADDRESS, origin: undefined, tls: false, sandbox: false, node: undefined }
      : undefined
  }
  const section = file.section('console')
  const address = readAddress(section)
  const tls = section.boolean('tls')
  if (!tls && !isLoopback(address.host)) {
    const message = `${INVALID}${formatAddress(address)} is reached from other machines, and has no TLS`
    section.error('ours', section.positionOf('address'), message, "write 'tls: true', or a loopback address")
  }
  return {
    address,
    origin: readOrigin(section, address, tls),
    tls,
    sandbox: section.boolean('sandbox'),
    node: section.has('node') ? readNode(section.section('node')) : undefined,
  }
}

function readAddress(section: Section): Address {
  const text = section.text('address')
  if (text === undefined) return DEFAULT_CONSOLE_ADDRESS
  try {
    return parseAddress(text)
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    const hint = 'write an IP address and a port, such as 127.0.0.1:9001'
    section.error('ours', section.positionOf('address'), `${INVALID}${error.message}`, hint)
    return DEFAULT_CONSOLE_ADDRESS
  }
}

/** Browsers sign in secure contexts only: over https, or on the same machine. */
function readOrigin(section: Section, { host }: Address, tls: boolean): string | undefined {
  const text = section.text('origin')
  if (text === undefined) {
    if (tls && (host === '' || host === '0.0.0.0' || host === '::')) {
      const message = `${INVALID}no origin, and the address is no single one`
      section.error('ours', section.position, message, 'write the URL that browsers open')
    }
    return undefined
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.protocol === 'http:'
  const report = (problem: string, hint: string) =>
    section.error('ours', section.positionOf('origin'), `${INVALID}${problem}`, hint)
  if (url === undefined || (!isPlain && url.protocol !== 'https:') || `${url.origin}/` !== url.href) {
    report(`invalid origin '${text}'`, "write scheme, host and port: 'https://kes.example.com:9001'")
    return undefined
  }
  if (isPlain && tls) report(`origin '${text}' is not https, and the console has TLS`, 'write https')
  else if (isPlain && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    report(`in pages of origin '${text}' browsers have no cryptography to log in with`, 'write https')
  }
  return url.origin
}

function readNode(node: Section): ConsoleNodeConfig {
  const endpoint = node.required('endpoint', 'ours', `${INVALID}no endpoint of the node`)
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (
    endpoint !== '' &&
    (url === undefined || !/^https?:$/.test(url.protocol) || `${url.origin}/` !== url.href)
  ) {
    const hint = "write scheme, host and port: 'http://127.0.0.1:9000'"
    node.error('ours', node.positionOf('endpoint'), `${INVALID}invalid endpoint of the node`, hint)
  }
  return {
    endpoint: url?.origin ?? '',
    accessKey: node.requiredSecret('access_key', 'ours', `${INVALID}no access key of the node`),
    secretKey: node.requiredSecret('secret_key', 'ours', `${INVALID}no secret key of the node`),
    caPath: node.text('ca'),
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
