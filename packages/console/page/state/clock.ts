/** The time by which ages are shown. */
import { signal } from '@preact/signals'

const TICK_MS = 10_000

export const now = signal(Date.now())

setInterval(() => {
  now.value = Date.now()
}, TICK_MS)
