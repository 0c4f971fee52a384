import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  authorityOf,
  clientOf,
  issueCertificate,
  keyPairOf,
  serverOf,
  validityOf,
} from '../../../../test/sandbox/certificates.ts'
import { parseIdentity } from '../names.ts'
import { ForwardedCallers } from './forwarded-callers.ts'
import type { Peer } from './peer.ts'
import type { ClientCertificateMode } from './secure-context.ts'

const HEADER = 'x-client-cert'
const PROXY = parseIdentity('ab'.repeat(32))
const proxy: Peer = { ip: '127.0.0.1', identity: PROXY, problem: undefined, proxy: undefined }

async function callersFor(mode: Partial<ClientCertificateMode> = {}): Promise<(header: string) => Peer> {
  const { key, cert } = await serverOf()
  const callers = ForwardedCallers.of({
    credentials: { keyPem: key, certPem: cert },
    clientCertificates: { isRequired: true, isVerified: false, cas: [], ...mode },
    proxies: { identities: [PROXY], header: 'X-Client-Cert' },
  })
  if (callers === undefined) throw new Error('there are no proxies')
  return (header) => callers.callerOf(proxy, { [HEADER]: header })
}

afterEach(() => vi.useRealTimers())

describe('what a proxy sends', () => {
  test('is an identity or a problem, never both and never the proxy, whatever it is', async () => {
    const callerOf = await callersFor()
    const escaped = encodeURIComponent((await clientOf('app')).cert)
    const damaged = fc
      .tuple(fc.nat(escaped.length - 1), fc.string({ maxLength: 3 }), fc.nat(3))
      .map(([at, text, removed]) => escaped.slice(0, at) + text + escaped.slice(at + removed))
    const structured = fc.base64String().map((text) => `:${text}:`)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), damaged, structured), (header) => {
        const caller = callerOf(header)
        expect(caller.identity === undefined).toBe(caller.problem !== undefined)
        expect(caller).toMatchObject({ ip: proxy.ip, proxy: PROXY })
        expect(caller.identity).not.toBe(PROXY)
      }),
      { numRuns: 2_000 },
    )
  })

  test('is verified again when the certificate has ended that was known', async () => {
    const issuer = await authorityOf('client CA')
    const keys = keyPairOf('app', 'p256')
    const validity = { ...validityOf(1), notAfter: new Date(Date.now() + 3_600_000) }
    const certificate = await issueCertificate('app', { keys, issuer, validity })
    const header = encodeURIComponent(certificate.toString())
    const verified = await callersFor({ isVerified: true, cas: [issuer.certificate.toString()] })
    const unverified = await callersFor()
    for (const callerOf of [verified, unverified]) expect(callerOf(header).problem).toBeUndefined()
    vi.useFakeTimers({ now: Date.now() + 3_601_000, toFake: ['Date'] })
    expect(verified(header).problem).toMatchObject({ code: 'CertificateRequired' })
    expect(unverified(header).problem).toBeUndefined()
  })
})
