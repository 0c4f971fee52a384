/** `DELETE /v1/key/delete/<name>`: erases a key, now or after a waiting period, and with it all that it encrypted. */
import { InvalidParameterError } from '../errors.ts'
import { type ReceiptDocument, receiptDocument } from '../journal/document.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'
import { keyDocument } from './describe-key.ts'

export interface DeleteOptions {
  /** How long the erasure can be taken back; undefined for the least that the config allows. */
  readonly waitingMs: number | undefined
  readonly wantsReceipt: boolean
}

/**
 * The key is refused for every use when this returns. Of an erasure the promise ends when no file of the store holds the
 * key's record; a key that is being erased already is waited for, whatever the options say.
 *
 * @returns the receipt of the erasure; or, if that is yet to come, the key as it waits.
 * @throws InvalidParameterError (400) if a receipt is wanted of what is yet to come, WaitingPeriodTooShortError (400),
 *   KeyNotFoundError (404), WrongStateError (409), ErasePendingError (503)
 */
export async function deleteKey(
  ring: KeyRing,
  name: KeyName,
  caller: Caller,
  { waitingMs = ring.waitingPeriodMs, wantsReceipt }: DeleteOptions,
): Promise<{ readonly receipt: ReceiptDocument } | { readonly waiting: ReturnType<typeof keyDocument> }> {
  if (waitingMs === 0 || ring.isErasing(name)) {
    const erasure = await ring.erase(name, caller)
    return { receipt: receiptDocument(erasure, ring.backupsOf(erasure)) }
  }
  if (wantsReceipt) {
    throw new InvalidParameterError('receipt', 'true', 'none: the key is erased after a waiting period')
  }
  return { waiting: keyDocument(ring.schedule(name, waitingMs, caller)) }
}
