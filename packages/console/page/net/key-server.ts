/** The key server's API, as far as the console uses it: docs/wire.md has the shapes. */
import type { Requests } from './session.ts'

export interface KeyDetails {
  readonly name: string
  readonly state: string
  readonly algorithm?: string
  readonly created_at?: string
  readonly created_by?: string
  readonly revision?: number
  readonly changed_at?: string
  readonly changed_by?: string
  readonly deletion_at?: string
  readonly last_used_at?: string
}

export interface JournalEntry {
  readonly number: number
  readonly time: string
  readonly action: string
  readonly state: string
  readonly revision: number
  readonly key_id: string
  readonly algorithm: string | null
  readonly identity: string
  readonly ip: string
  readonly fingerprint: string | null
  readonly detail?: Readonly<Record<string, string | number>>
}

export interface ErasureReceipt {
  readonly format: string
  readonly name: string
  readonly fingerprint: string | null
  readonly erased_at: string
  readonly erased_by: string
  readonly not_covered: readonly string[]
  readonly journal: JournalEntry
}

export interface Policy {
  readonly name: string
  readonly allow?: Readonly<Record<string, object>>
  readonly deny?: Readonly<Record<string, object>>
}

export interface IdentityDetails {
  readonly admin?: boolean
  readonly policy?: string
}

export interface Verdict {
  readonly allowed: boolean
  readonly policy?: string
  readonly status: number
  readonly reason: string
  readonly rule?: string
  readonly nearest?: string
  readonly hint?: string
}

export interface ServerInfo {
  readonly version: string
  readonly endpoint: string
  readonly workers: number
  readonly store: string
  readonly identity: string
  readonly admin: boolean
  readonly policy: string | null
  readonly node: { readonly endpoint: string } | null
  readonly sandbox: boolean
  readonly certificate_expires: string | null
}

export function serverInfo(session: Requests): Promise<ServerInfo> {
  return session.json('/console/info')
}

const keyPath = (call: string, name: string) => `/v1/key/${call}/${encodeURIComponent(name)}`

export function createKey(session: Requests, name: string, takesErasedName: boolean): Promise<void> {
  return session.send(`${keyPath('create', name)}${takesErasedName ? '?reuse=true' : ''}`, { method: 'PUT' })
}

/** @param key - base64 of 32 bytes. */
export function importKey(session: Requests, name: string, key: string, cipher: string): Promise<void> {
  return session.send(keyPath('import', name), { method: 'PUT', body: { key, cipher } })
}

export type PlainChange = 'enable' | 'disable' | 'cancel-deletion'

export function changeKey(session: Requests, change: PlainChange, name: string): Promise<void> {
  return session.send(keyPath(change, name), { method: 'PUT' })
}

export function scheduleDeletion(session: Requests, name: string, after: string): Promise<KeyDetails> {
  return session.json(`${keyPath('delete', name)}?after=${encodeURIComponent(after)}`, { method: 'DELETE' })
}

export function eraseKey(session: Requests, name: string): Promise<ErasureReceipt> {
  return session.json(`${keyPath('delete', name)}?receipt=true`, { method: 'DELETE' })
}

export function describeKey(session: Requests, name: string): Promise<KeyDetails> {
  return session.json(keyPath('describe', name))
}

/** All keys, a page at a time. */
export async function* listKeys(session: Requests): AsyncGenerator<readonly KeyDetails[]> {
  let argument: string | undefined = ''
  while (argument !== undefined) {
    const page: { keys: readonly KeyDetails[]; continue_at?: string } = await session.json(
      `/v1/key/list/${encodeURIComponent(argument)}?details=true`,
    )
    yield page.keys
    argument = page.continue_at
  }
}

/** From the first entry to the last, as the server sent them: what is downloaded must be complete. */
export async function keyHistory(session: Requests, name: string): Promise<readonly JournalEntry[]> {
  const entries: JournalEntry[] = []
  let after: number | undefined = 0
  while (after !== undefined) {
    const page: { entries: readonly JournalEntry[]; continue_at?: number } = await session.json(
      `${keyPath('history', name)}?after=${after}`,
    )
    entries.push(...page.entries)
    after = page.continue_at
  }
  return entries
}

/** Of the last erasure of a key of this name. */
export function erasureReceipt(session: Requests, name: string): Promise<ErasureReceipt> {
  return session.json(`${keyPath('history', name)}?receipt=true`)
}

export async function listPolicies(session: Requests): Promise<readonly string[]> {
  const { names } = await session.json<{ names: readonly string[] }>('/v1/policy/list/')
  return names
}

export function readPolicy(session: Requests, name: string): Promise<Policy> {
  return session.json(`/v1/policy/read/${encodeURIComponent(name)}`)
}

export async function listIdentities(session: Requests): Promise<readonly string[]> {
  const { identities } = await session.json<{ identities: readonly string[] }>('/v1/identity/list/')
  return identities
}

export function describeIdentity(session: Requests, identity: string): Promise<IdentityDetails> {
  return session.json(`/v1/identity/describe/${encodeURIComponent(identity)}`)
}

export async function listApis(session: Requests): Promise<readonly { method: string; path: string }[]> {
  return await session.json('/v1/api')
}

export function explainPolicy(
  session: Requests,
  question: { readonly identity: string; readonly method: string; readonly path: string },
): Promise<Verdict> {
  return session.json('/console/policy/explain', { method: 'POST', body: question })
}
