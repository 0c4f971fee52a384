/** A SQLite store with many keys, made without a server. */
import { KeyRing } from '../packages/kes-server/src/keyring/key-ring.ts'
import { openJournal } from '../packages/kes-server/src/keyring/open-journal.ts'
import { parseKeyName } from '../packages/kes-server/src/names.ts'
import { Seal } from '../packages/kes-server/src/seal/seal.ts'
import { SqliteStore } from '../packages/kes-server/src/store/sqlite-store.ts'

const BY = { identity: '0'.repeat(64), ip: '127.0.0.1' }

/** Its keys are named `key-0` and so on. */
export function fillStore(path: string, keyFile: Buffer, keys: number): void {
  const store = SqliteStore.open(path)
  try {
    const seal = Seal.create(store, { kind: 'key file', bytes: Buffer.from(keyFile) })
    const ring = new KeyRing(store, seal, openJournal(store, seal), { erasedNames: 'reserved' })
    store.transaction(() => {
      for (let number = 0; number < keys; number += 1) ring.create(parseKeyName(`key-${number}`), BY)
    })
    seal.destroy()
  } finally {
    store.close()
  }
}
