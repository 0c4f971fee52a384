/** `DELETE /v1/key/delete/<name>`: erases a key, and with it all that was encrypted under it. */
import { type ReceiptDocument, receiptDocument } from '../journal/document.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/**
 * The key is refused for every use when this returns. The promise ends when no file of the store holds its record.
 *
 * @returns the receipt.
 * @throws KeyNotFoundError (404), ErasePendingError (503)
 */
export async function deleteKey(ring: KeyRing, name: KeyName, caller: Caller): Promise<ReceiptDocument> {
  return receiptDocument(await ring.erase(name, caller))
}
