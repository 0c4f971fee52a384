/** `GET /v1/journal/head` and `GET /v1/journal/entries`: the whole journal, for whoever verifies it elsewhere. */
import type { Journal } from '../journal/journal.ts'

const PAGE_ENTRIES = 1000

export interface HeadDocument {
  readonly store_id: string
  /** Of the last entry. */
  readonly number: number
  /** SHA-256 of the last entry, in hex. */
  readonly hash: string
  /** PEM. */
  readonly public_key: string
}

/** A witness: kept elsewhere, it shows later that the journal was cut off or rolled back. */
export function journalHead(journal: Journal): HeadDocument {
  const { number, hash } = journal.head()
  return {
    store_id: Buffer.from(journal.storeId).toString('hex'),
    number,
    hash: Buffer.from(hash).toString('hex'),
    public_key: journal.publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  }
}

export interface JournalPage {
  /** Base64 of what the store has, intact or not. */
  readonly entries: readonly { number: number; name: string; entry: string; signature: string }[]
  /** The `after` of the next page; absent on the last. */
  readonly continue_at?: number
}

/** @param after - the number of the entry before the page; 0 for the first. */
export function journalEntries(journal: Journal, after: number): JournalPage {
  const entries = journal.read(after, PAGE_ENTRIES)
  const last = entries.length < PAGE_ENTRIES ? undefined : entries.at(-1)
  return {
    entries: entries.map(({ number, name, entry, signature }) => ({
      number,
      name,
      entry: Buffer.from(entry).toString('base64'),
      signature: Buffer.from(signature).toString('base64'),
    })),
    ...(last === undefined ? {} : { continue_at: last.number }),
  }
}
