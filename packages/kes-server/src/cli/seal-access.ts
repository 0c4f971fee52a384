/** The seal as `kes seal` sees it: through a running server, or in a store that no server uses. */
import type { RotationSlots, SealInfo, SealSecret, SlotChange } from '@latchkey/kms-client'
import { onlyHolder, SealAdmin } from '../keyring/seal-admin.ts'
import type { OpenStore } from '../open-store.ts'
import type { ClientFlags } from './command.ts'
import type { Io } from './io.ts'
import { asStoreSecret, explainLocked, readExistingKeystore, withStore } from './offline-store.ts'
import { CliError, Exit } from './outcome.ts'
import type { Servers } from './servers.ts'
import { withServers } from './with-servers.ts'

export interface SealAccess {
  describe(): Promise<SealInfo>
  /** @param unlock - undefined for the secret that the config names. */
  addSlot(unlock: SealSecret | undefined, secret: SealSecret, label: string): Promise<SlotChange>
  removeSlot(id: number): Promise<SlotChange>
  changePassphrase(passphrase: Uint8Array, next: Uint8Array): Promise<SlotChange>
  beginRotation(slots: RotationSlots): Promise<void>
  /** Fulfilled when the rotation that is under way has ended. */
  followRotation(onProgress: (done: number, total: number) => void): Promise<void>
  /** Whether a secret that opens the store is at hand already. */
  readonly isUnlocked: boolean
}

export interface SealFlags extends ClientFlags {
  readonly config?: string
}

export async function withSeal<Result>(
  io: Io,
  flags: SealFlags,
  run: (seal: SealAccess) => Promise<Result>,
): Promise<Result> {
  if (flags.config === undefined) return withServers(io, flags, (servers) => run(onlineSeal(io, servers)))
  const keystore = await readExistingKeystore(flags.config)
  try {
    return await withStore(keystore, (opened) => run(offlineSeal(io, opened)))
  } catch (error) {
    throw explainLocked(error)
  }
}

const POLL_MS = 250

function onlineSeal(io: Io, servers: Servers): SealAccess {
  const describe = () =>
    servers.call(
      { method: 'GET', path: '/v1/seal/describe', failure: 'failed to describe the seal' },
      (client, options) => client.describeSeal(options),
    )
  return {
    isUnlocked: false,
    describe,
    addSlot(unlock, secret, label) {
      if (unlock === undefined) throw new TypeError('a server is always given a secret')
      const call = { method: 'PUT', path: '/v1/seal/add-slot', failure: 'failed to add a slot' } as const
      return servers.call(call, (client, options) =>
        client.addSealSlot(unlock, secret, { ...options, label }),
      )
    },
    removeSlot(id) {
      const path = `/v1/seal/remove-slot/${id}`
      const call = { method: 'PUT', path, failure: `failed to remove slot ${id}` } as const
      return servers.call(call, (client, options) => client.removeSealSlot(id, options))
    },
    changePassphrase(passphrase, next) {
      const path = '/v1/seal/change-passphrase'
      const call = { method: 'PUT', path, failure: 'failed to change the passphrase' } as const
      return servers.call(call, (client, options) => client.changeSealPassphrase(passphrase, next, options))
    },
    beginRotation(slots) {
      const path = '/v1/seal/rotate-root'
      const call = { method: 'PUT', path, failure: 'failed to replace the root key' } as const
      return servers.call(call, (client, options) => client.rotateRootKey(slots, options))
    },
    async followRotation(onProgress) {
      for (;;) {
        const { rotation } = await describe()
        if (rotation === undefined) return
        onProgress(rotation.done, rotation.total)
        await pause(POLL_MS, io.interruption)
      }
    },
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { setTimeout } = await import('node:timers/promises')
  try {
    await setTimeout(ms, undefined, { signal })
  } catch {
    throw new Exit(1) // Ctrl-C.
  }
}

/** Whoever can read the config and the store is nobody to the store: the journal says that it was done on the spot. */
const LOCAL = { identity: '', ip: '' }

function offlineSeal(io: Io, opened: OpenStore): SealAccess {
  const detail = { by: 'local operator' }
  const admin = new SealAdmin({ ...opened, holders: onlyHolder(opened.seal), detail })
  return {
    isUnlocked: true,
    async describe() {
      const { rotation, slots, rootGeneration } = admin.describe()
      return {
        rootGeneration,
        slots: slots.map(({ slotId, cost, ...slot }) => ({
          ...slot,
          id: slotId,
          ...(cost && { argon2: cost }),
        })),
        ...(rotation && { rotation }),
      }
    },
    addSlot: async (unlock, secret, label) =>
      changeOf(
        await admin.addSlot(
          unlock === undefined ? opened.ownSecret() : asStoreSecret(unlock),
          asStoreSecret(secret),
          label,
          LOCAL,
        ),
      ),
    removeSlot: async (id) => changeOf(await admin.removeSlot(id, LOCAL)),
    changePassphrase: async (passphrase, next) =>
      changeOf(await admin.changePassphrase(passphrase, next, LOCAL)),
    async beginRotation({ keep = new Map<number, SealSecret>(), remove = [] }) {
      const secrets = new Map([...keep].map(([id, secret]) => [id, asStoreSecret(secret)]))
      await admin.beginRotation({ secrets, removed: remove }, LOCAL)
    },
    async followRotation(onProgress) {
      const result = await admin.finishRotation(io.interruption, ({ done, total }) => onProgress(done, total))
      if (result === undefined) {
        if (io.interruption.aborted) throw new CliError('interrupted', [INTERRUPTED])
        return
      }
      const { damaged, isErased } = result
      if (damaged > 0) io.stderr.write(`WARNING: ${damaged} damaged records were not resealed\n`)
      if (!isErased) io.stderr.write(`WARNING: ${STILL_ON_DISK}\n`)
    },
  }
}

export const STILL_ON_DISK =
  'what was replaced is still on the disk, because a program reads the store; the next start of the server removes it'
const INTERRUPTED = 'The server goes on at its next start; so does this command.'

function changeOf({ slotId, isErased }: { readonly slotId: number; readonly isErased: boolean }): SlotChange {
  return { id: slotId, isErased }
}
