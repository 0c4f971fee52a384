/** The journal of a Latchkey server as typed values. A Go KES has none, and answers these calls with 404. */
import { JsonReply } from './json-reply.ts'
import type { TransportReply } from './transport/transport.ts'

/** What proves an entry: docs/journal.md of the server has the format of the bytes. */
export interface SignedJournalEntry {
  /** From 1, without gaps. */
  readonly number: number
  /** Of the key; empty in entries about the store itself. */
  readonly name: string
  readonly entry: Uint8Array
  /** Ed25519, 64 bytes. */
  readonly signature: Uint8Array
}

/** One change of a key. What the server says of an entry is proven only by verifying its bytes. */
export interface JournalEntry extends SignedJournalEntry {
  readonly time: string
  readonly action:
    | 'set-up'
    | 'adopt'
    | 'create'
    | 'import'
    | 'reuse'
    | 'enable'
    | 'disable'
    | 'erase'
    | 'schedule'
    | 'cancel'
    | (string & {})
  /** Hex. A key made later under the same name has another one. */
  readonly keyId: string
  readonly algorithm?: string
  readonly state: 'enabled' | 'disabled' | 'pending' | 'erased' | 'none' | (string & {})
  readonly revision: number
  /** Who did it, and from which address; empty if nobody is known. */
  readonly identity: string
  readonly ip: string
  readonly createdAt: string
  readonly createdBy: string
  /** Hex: recognises the key's bytes. */
  readonly fingerprint?: string
  /** Hex. */
  readonly storeId: string
  /** Hex: SHA-256 of the entry before. */
  readonly previous: string
  /** What else the action says of itself. */
  readonly detail?: Readonly<Record<string, string | number>>
}

/** The end of a journal: kept elsewhere, it shows later whether the journal was cut off or rolled back. */
export interface JournalHead {
  /** Hex. */
  readonly storeId: string
  readonly number: number
  /** Hex: SHA-256 of the last entry. */
  readonly hash: string
  /** PEM. To verify, take the one that was kept when the store was set up. */
  readonly publicKey: string
}

/** The proof of an erasure. */
export interface ErasureReceipt {
  readonly name: string
  readonly erasedAt: string
  readonly erasedBy: string
  /** Hex; absent if the key's record was damaged. */
  readonly fingerprint?: string
  /** The whole receipt as JSON text: what to keep, and what `kes receipt verify` reads. */
  readonly document: string
}

export interface JournalPage<Item> {
  readonly items: readonly Item[]
  /** The last number of the page; absent on the last one. */
  readonly continueAt?: number
}

export function decodeJournalEntries(
  call: string,
  { body }: TransportReply,
): JournalPage<SignedJournalEntry> {
  return page(JsonReply.parse(call, body.toString()), signedEntry)
}

export function decodeKeyHistory(call: string, { body }: TransportReply): JournalPage<JournalEntry> {
  return page(JsonReply.parse(call, body.toString()), journalEntry)
}

export function decodeJournalHead(call: string, { body }: TransportReply): JournalHead {
  const reply = JsonReply.parse(call, body.toString())
  return {
    storeId: reply.text('store_id'),
    number: reply.number('number'),
    hash: reply.text('hash'),
    publicKey: reply.text('public_key'),
  }
}

export function decodeReceipt(call: string, { body }: TransportReply): ErasureReceipt {
  const document = body.toString()
  const reply = JsonReply.parse(call, document)
  const fingerprint = reply.textIfAny('fingerprint')
  return {
    name: reply.text('name'),
    erasedAt: reply.text('erased_at'),
    erasedBy: reply.text('erased_by'),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    document,
  }
}

function page<Item>(reply: JsonReply, decode: (reply: JsonReply) => Item): JournalPage<Item> {
  const continueAt = reply.numberIfAny('continue_at')
  const items = reply.objects('entries').map(decode)
  return continueAt === undefined ? { items } : { items, continueAt }
}

function signedEntry(reply: JsonReply): SignedJournalEntry {
  return {
    number: reply.number('number'),
    name: reply.text('name'),
    entry: reply.bytes('entry'),
    signature: reply.bytes('signature'),
  }
}

function journalEntry(reply: JsonReply): JournalEntry {
  const algorithm = reply.textIfAny('algorithm')
  const fingerprint = reply.textIfAny('fingerprint')
  const detail = reply.scalarsIfAny('detail')
  return {
    ...signedEntry(reply),
    time: reply.text('time'),
    action: reply.text('action'),
    keyId: reply.text('key_id'),
    ...(algorithm === undefined ? {} : { algorithm }),
    state: reply.text('state'),
    revision: reply.number('revision'),
    identity: reply.text('identity'),
    ip: reply.text('ip'),
    createdAt: reply.text('created_at'),
    createdBy: reply.text('created_by'),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    storeId: reply.text('store_id'),
    previous: reply.text('previous'),
    ...(detail === undefined ? {} : { detail }),
  }
}
