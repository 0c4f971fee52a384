/** The seal of a Latchkey server's store: what opens it. A Go KES has none, and answers these calls with 404. */
import { encodeBase64 } from './base64.ts'
import { JsonReply } from './json-reply.ts'
import type { TransportReply } from './transport/transport.ts'

/** What opens a slot. */
export type SealSecret = { readonly passphrase: Uint8Array } | { readonly keyFile: Uint8Array }

export interface SealInfo {
  /** The number of the store's root key: 1 for the first. */
  readonly rootGeneration: number
  readonly slots: readonly SealSlot[]
  /** While a new root key is being put in place: how many records follow, and how many have. */
  readonly rotation?: { readonly total: number; readonly done: number }
}

export interface SealSlot {
  readonly id: number
  readonly label: string
  readonly kind: 'passphrase' | 'key file' | 'damaged' | (string & {})
  readonly createdAt: string
  /** Of a passphrase. */
  readonly argon2?: { readonly memoryKiB: number; readonly passes: number; readonly parallelism: number }
  /** Whether the server's own configuration opens it. */
  readonly isOwn: boolean
}

export interface SlotChange {
  readonly id: number
  /** False if what the slot was before may still stand in a file of the store. The server goes on removing it. */
  readonly isErased: boolean
}

/** What becomes of the slots when the root key is replaced: each but the server's own is one or the other. */
export interface RotationSlots {
  /** The secrets of slots that are kept, by id. */
  readonly keep?: ReadonlyMap<number, SealSecret>
  /** The ids of the others. */
  readonly remove?: readonly number[]
}

export function encodeSecret(prefix: '' | 'unlock_', secret: SealSecret): Record<string, string> {
  return 'passphrase' in secret
    ? { [`${prefix}passphrase`]: encodeBase64(secret.passphrase) }
    : { [`${prefix}key_file`]: encodeBase64(secret.keyFile) }
}

export function encodeRotationSlots({ keep = new Map(), remove = [] }: RotationSlots): string {
  const fields: Record<string, string> = { remove: remove.join(',') }
  for (const [id, secret] of keep) {
    fields[`slot_${id}`] = encodeBase64('passphrase' in secret ? secret.passphrase : secret.keyFile)
  }
  return JSON.stringify(fields)
}

export function decodeSealInfo(call: string, { body }: TransportReply): SealInfo {
  const reply = JsonReply.parse(call, body.toString())
  const rotation = reply.objectIfAny('rotation')
  return {
    rootGeneration: reply.number('root_generation'),
    slots: reply.objects('slots').map(slot),
    ...(rotation && { rotation: { total: rotation.number('total'), done: rotation.number('done') } }),
  }
}

export function decodeSlotChange(call: string, { body }: TransportReply): SlotChange {
  const reply = JsonReply.parse(call, body.toString())
  return { id: reply.number('id'), isErased: reply.flag('is_erased') }
}

function slot(reply: JsonReply): SealSlot {
  const argon2 = reply.objectIfAny('argon2')
  const cost = argon2 && {
    memoryKiB: argon2.number('memory_kib'),
    passes: argon2.number('passes'),
    parallelism: argon2.number('parallelism'),
  }
  return {
    id: reply.number('id'),
    label: reply.text('label'),
    kind: reply.text('kind'),
    createdAt: reply.text('created_at'),
    ...(cost && { argon2: cost }),
    isOwn: reply.flag('is_own'),
  }
}
