/** `DELETE /v1/key/delete/<name>`: erases a key, and with it all that was encrypted under it. */
import { type ReceiptDocument, receiptDocument } from '../journal/document.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/** @returns the receipt. @throws KeyNotFoundError (404) */
export function deleteKey(ring: KeyRing, name: KeyName, caller: Caller): ReceiptDocument {
  return receiptDocument(ring.erase(name, caller))
}
