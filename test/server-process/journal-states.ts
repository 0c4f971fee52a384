/** What the whole journal of a running server, verified, says of each key. */
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { JournalVerifier } from '../../packages/kes-server/src/journal/verify.ts'
import type { ServerProcess } from './server-process.ts'

interface Page {
  readonly entries: readonly { readonly entry: string; readonly signature: string }[]
  readonly continue_at?: number
}

/**
 * @returns the last state and revision of every key that was not erased, by name.
 * @throws JournalBrokenError
 */
export async function statesByJournal(
  server: ServerProcess,
  publicKeyFile: string,
): Promise<Map<string, string>> {
  const verifier = new JournalVerifier(createPublicKey(readFileSync(publicKeyFile)))
  const states = new Map<string, string>()
  for (let after: number | undefined = 0; after !== undefined; ) {
    const { rawBody } = await server.request('GET', `/v1/journal/entries?after=${after}`)
    const page = JSON.parse(rawBody.toString()) as Page
    for (const { entry, signature } of page.entries) {
      const bytes = Buffer.from(entry, 'base64')
      const { name, state, revision } = verifier.next({ bytes, signature: Buffer.from(signature, 'base64') })
      if (state === 'erased') states.delete(name)
      else if (name !== '') states.set(name, `${state} ${revision}`)
    }
    after = page.continue_at
  }
  verifier.end()
  return states
}
