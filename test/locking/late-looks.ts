/** Loaded before a worker: it looks for changes only now and then, so that nothing but the barrier makes it look in time. */
import { KeyRing } from '../../packages/kes-server/src/keyring/key-ring.ts'

const INTERVAL_MS = 50

const look = KeyRing.prototype.lookForChanges
let lastMs = 0

KeyRing.prototype.lookForChanges = function (this: KeyRing) {
  if (performance.now() - lastMs < INTERVAL_MS) return
  lastMs = performance.now()
  look.call(this)
}
