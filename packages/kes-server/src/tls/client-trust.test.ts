import type { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  type Authority,
  authorityOf,
  type IssueOptions,
  issueCertificate,
  keyPairOf,
  validityOf,
} from '../../../../test/sandbox/certificates.ts'
import { ClientTrust } from './client-trust.ts'

const DAY_MS = 86_400_000

/** A CA below another one. */
async function authorityBelow(
  issuer: Authority,
  label: string,
  options: IssueOptions = {},
): Promise<Authority> {
  const keys = keyPairOf(label, 'p256')
  const certificate = await issueCertificate(label, { keys, issuer, isCa: true, ...options })
  return { ...keys, certificate }
}

const leafOf = (issuer: Authority, options: IssueOptions = {}) =>
  issueCertificate('leaf', { issuer, ...options })

const isTrusted = (certificate: X509Certificate, ...authorities: Authority[]) =>
  new ClientTrust(authorities.map((each) => each.certificate.toString())).endOf(certificate, Date.now()) !==
  undefined

describe('a certificate is trusted', () => {
  test('if a CA that was given has issued it', async () => {
    const root = await authorityOf('root')
    expect(isTrusted(await leafOf(root), await authorityOf('another'), root)).toBe(true)
    expect(isTrusted(await leafOf(root, { extendedKeyUsage: [] }), root)).toBe(true)
  })

  test('if a CA that was given has issued it, whoever has issued that one', async () => {
    const root = await authorityOf('root')
    const middle = await authorityBelow(root, 'middle')
    const leaf = await leafOf(middle)
    expect(isTrusted(leaf, middle, root)).toBe(true)
    expect(isTrusted(leaf, middle)).toBe(true)
    expect(isTrusted(leaf, root)).toBe(false)
  })

  test('if it was given itself, whoever has issued it', async () => {
    const root = await authorityOf('root')
    const keys = keyPairOf('leaf', 'p256')
    const certificate = await leafOf(root, { keys })
    expect(isTrusted(certificate, { ...keys, certificate })).toBe(true)
    expect(isTrusted(await leafOf(root, { keys }), { ...keys, certificate })).toBe(false)
  })

  test('if it has signed itself, and was given', async () => {
    const certificate = await issueCertificate('itself', { keys: keyPairOf('itself', 'p256') })
    const same = { ...keyPairOf('itself', 'p256'), certificate }
    expect(isTrusted(certificate, same)).toBe(true)
    expect(isTrusted(await issueCertificate('itself', { keys: keyPairOf('itself', 'p256') }), same)).toBe(
      false,
    )
  })

  test('as long as itself and who has issued it', async () => {
    const root = await authorityOf('root') // For a day.
    const leaf = await leafOf(root, { validity: validityOf(3) })
    const trust = new ClientTrust([root.certificate.toString()])
    expect(trust.endOf(leaf, Date.now())).toBe(root.certificate.validToDate.getTime())
    expect(trust.endOf(leaf, Date.now() + 2 * DAY_MS)).toBeUndefined()
  })
})

describe('a certificate is not trusted', () => {
  test('if nobody vouches for it, or for those who do', async () => {
    expect(isTrusted(await leafOf(await authorityOf('root')))).toBe(false)
    expect(isTrusted(await issueCertificate('itself'), await authorityOf('root'))).toBe(false)
  })

  test('if somebody of the same name, or who is no CA, has issued it', async () => {
    const root = await authorityOf('root')
    const keys = keyPairOf('namesake', 'p256')
    const namesake = { ...keys, certificate: await issueCertificate('root', { keys, isCa: true }) }
    expect(isTrusted(await leafOf(namesake), root)).toBe(false)
    const leaf = await leafOf(await authorityBelow(root, 'middle'))
    const middle = keyPairOf('middle', 'p256')
    const client = {
      ...middle,
      certificate: await issueCertificate('middle', { keys: middle, issuer: root }),
    }
    expect(isTrusted(leaf, client, root)).toBe(false)
  })

  test('if a CA between has ended, or is for servers', async () => {
    const root = await authorityOf('root')
    const ended = await authorityBelow(root, 'ended', { validity: validityOf(-1) })
    expect(isTrusted(await leafOf(ended), ended, root)).toBe(false)
    const forServers = await authorityBelow(root, 'for servers', { extendedKeyUsage: ['serverAuth'] })
    expect(isTrusted(await leafOf(forServers), forServers, root)).toBe(false)
  })
})
