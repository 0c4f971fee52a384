/** What the whole journal of a running server, verified, says of each key. */
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { JournalVerifier } from '../../packages/kes-server/src/journal/verify.ts'
import type { ServerProcess } from './server-process.ts'

interface Page {
  readonly entries: readonly { readonly entry: string; readonly signature: string }[]
  readonly continue_at?: number
}

/** Reads the journal of a server that lives, and dies, and lives on: each time what has come since. */
export class JournalReader {
  /** The last state and revision of every key that was not erased, by name. */
  readonly states = new Map<string, string>()
  readonly #verifier: JournalVerifier
  #last = 0

  constructor(publicKeyFile: string) {
    this.#verifier = new JournalVerifier(createPublicKey(readFileSync(publicKeyFile)))
  }

  /** To the end. @throws JournalBrokenError also if it does not go on where it ended the last time. */
  async readOn(server: ServerProcess): Promise<void> {
    for (let after: number | undefined = this.#last; after !== undefined; ) {
      const { rawBody } = await server.request('GET', `/v1/journal/entries?after=${after}`)
      const page = JSON.parse(rawBody.toString()) as Page
      for (const { entry, signature } of page.entries) {
        const bytes = Buffer.from(entry, 'base64')
        const read = this.#verifier.next({ bytes, signature: Buffer.from(signature, 'base64') })
        this.#last = read.number
        const { name, state, revision } = read
        if (state === 'erased') this.states.delete(name)
        else if (name !== '') this.states.set(name, `${state} ${revision}`)
      }
      after = page.continue_at
    }
    this.#verifier.end()
  }
}

/**
 * The whole journal, from the first entry on.
 *
 * @returns the last state and revision of every key that was not erased, by name.
 * @throws JournalBrokenError
 */
export async function statesByJournal(
  server: ServerProcess,
  publicKeyFile: string,
): Promise<ReadonlyMap<string, string>> {
  const reader = new JournalReader(publicKeyFile)
  await reader.readOn(server)
  return reader.states
}
