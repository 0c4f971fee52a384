/** `/v1/seal/…`: the slots that open the store, and its root key. */
import type { RotationSlots, SealAdmin, Secret, SlotChange } from '../keyring/seal-admin.ts'
import type { Caller } from './caller.ts'

export interface SealDocument {
  readonly root_generation: number
  readonly slots: readonly SlotDocument[]
  /** Null unless a new root key is being put in place. */
  readonly rotation: { readonly total: number; readonly done: number } | null
}

export interface SlotDocument {
  readonly id: number
  readonly label: string
  readonly kind: string
  readonly created_at: string
  /** Of a passphrase. */
  readonly argon2?: { readonly memory_kib: number; readonly passes: number; readonly parallelism: number }
  /** Whether it is the one that the server's own configuration opens. */
  readonly is_own: boolean
}

export interface SlotChangeDocument {
  readonly id: number
  /** Whether what the slot was before is off the disk. */
  readonly is_erased: boolean
}

export function describeSeal(seal: SealAdmin): SealDocument {
  const { slots, rootGeneration, rotation } = seal.describe()
  return {
    root_generation: rootGeneration,
    slots: slots.map(({ slotId, label, kind, createdAt, cost, isOwn }) => ({
      id: slotId,
      label,
      kind,
      created_at: createdAt,
      ...(cost && {
        argon2: { memory_kib: cost.memoryKiB, passes: cost.passes, parallelism: cost.parallelism },
      }),
      is_own: isOwn,
    })),
    rotation: rotation ?? null,
  }
}

export async function addSlot(
  seal: SealAdmin,
  caller: Caller,
  unlock: Secret,
  secret: Secret,
  label: string,
): Promise<SlotChangeDocument> {
  return documentOf(await seal.addSlot(unlock, secret, label, caller))
}

export async function removeSlot(
  seal: SealAdmin,
  caller: Caller,
  slotId: number,
): Promise<SlotChangeDocument> {
  return documentOf(await seal.removeSlot(slotId, caller))
}

export async function changePassphrase(
  seal: SealAdmin,
  caller: Caller,
  passphrase: Uint8Array,
  next: Uint8Array,
): Promise<SlotChangeDocument> {
  return documentOf(await seal.changePassphrase(passphrase, next, caller))
}

/** A new root key for all that is sealed from now on; what is sealed already follows. */
export async function rotateRoot(seal: SealAdmin, caller: Caller, slots: RotationSlots): Promise<void> {
  await seal.beginRotation(slots, caller)
}

function documentOf({ slotId, isErased }: SlotChange): SlotChangeDocument {
  return { id: slotId, is_erased: isErased }
}
