/** The key server's API, as far as the console uses it: docs/wire.md has the shapes. */
import type { Session } from './session.ts'

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

export interface Receipt {
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

export function serverInfo(session: Session): Promise<ServerInfo> {
  return session.json('/console/info')
}

const keyPath = (call: string, name: string) => `/v1/key/${call}/${encodeURIComponent(name)}`

export function createKey(session: Session, name: string, takesErasedName: boolean): Promise<void> {
  return session.send(`${keyPath('create', name)}${takesErasedName ? '?reuse=true' : ''}`, { method: 'PUT' })
}

/** @param key - base64 of 32 bytes. */
export function importKey(session: Session, name: string, key: string, cipher: string): Promise<void> {
  return session.send(keyPath('import', name), { method: 'PUT', body: { key, cipher } })
}

export type PlainChange = 'enable' | 'disable' | 'cancel-deletion'

export function changeKey(session: Session, change: PlainChange, name: string): Promise<void> {
  return session.send(keyPath(change, name), { method: 'PUT' })
}

export function scheduleDeletion(session: Session, name: string, after: string): Promise<KeyDetails> {
  return session.json(`${keyPath('delete', name)}?after=${encodeURIComponent(after)}`, { method: 'DELETE' })
}

export function eraseKey(session: Session, name: string): Promise<Receipt> {
  return session.json(`${keyPath('delete', name)}?receipt=true`, { method: 'DELETE' })
}

export function describeKey(session: Session, name: string): Promise<KeyDetails> {
  return session.json(keyPath('describe', name))
}

/** All keys, a page at a time. */
export async function* listKeys(session: Session): AsyncGenerator<readonly KeyDetails[]> {
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
export async function keyHistory(session: Session, name: string): Promise<readonly JournalEntry[]> {
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

export async function listPolicies(session: Session): Promise<readonly string[]> {
  const { names } = await session.json<{ names: readonly string[] }>('/v1/policy/list/')
  return names
}

export function readPolicy(session: Session, name: string): Promise<Policy> {
  return session.json(`/v1/policy/read/${encodeURIComponent(name)}`)
}

export async function listIdentities(session: Session): Promise<readonly string[]> {
  const { identities } = await session.json<{ identities: readonly string[] }>('/v1/identity/list/')
  return identities
}

export function describeIdentity(session: Session, identity: string): Promise<IdentityDetails> {
  return session.json(`/v1/identity/describe/${encodeURIComponent(identity)}`)
}

export async function listApis(session: Session): Promise<readonly { method: string; path: string }[]> {
  return await session.json('/v1/api')
}

export function explainPolicy(
  session: Session,
  question: { readonly identity: string; readonly method: string; readonly path: string },
): Promise<Verdict> {
  return session.json('/console/policy/explain', { method: 'POST', body: question })
}
