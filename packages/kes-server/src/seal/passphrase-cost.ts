/** What a guess at a passphrase costs: argon2id (RFC 9106) and the bounds of its parameters. */
import { argon2, argon2Sync, createSecretKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { SealOpenError } from './seal-errors.ts'

export interface PassphraseCost {
  readonly memoryKiB: number
  readonly passes: number
  readonly parallelism: number
}

/** RFC 9106's second recommended option. About 0.1 s on a small server. */
export const DEFAULT_COST: PassphraseCost = { memoryKiB: 64 * 1024, passes: 3, parallelism: 4 }

/** Below 8 MiB argon2id is hardly better than a plain hash. */
const MEMORY_KIB_MIN = 8 * 1024
const MEMORY_KIB_MAX = 1024 * 1024
const PASSES_MAX = 16
const PARALLELISM_MAX = 16
/** Memory times passes, which is time: a few seconds on a small server. */
const WORK_KIB_MAX = 4 * MEMORY_KIB_MAX

const KEY_BYTES = 32

/**
 * Whether a slot may have this cost. The upper bounds hold when a slot is read, too: the cost must be spent before
 * the slot can be authenticated, and a crafted file must not make a server allocate or compute without end.
 */
export function isAllowedCost({ memoryKiB, passes, parallelism }: PassphraseCost): boolean {
  return (
    isBetween(memoryKiB, MEMORY_KIB_MIN, MEMORY_KIB_MAX) &&
    isBetween(passes, 1, PASSES_MAX) &&
    isBetween(parallelism, 1, PARALLELISM_MAX) &&
    memoryKiB * passes <= WORK_KIB_MAX
  )
}

/** What {@link isAllowedCost} asks for, for a message. */
export const ALLOWED_COST =
  `memory of ${MEMORY_KIB_MIN} to ${MEMORY_KIB_MAX} KiB, 1 to ${PASSES_MAX} passes (memory times passes at most ` +
  `${WORK_KIB_MAX} KiB) and a parallelism of 1 to ${PARALLELISM_MAX}`

/**
 * @param salt - 16 bytes.
 * @throws {@link SealOpenError} if this process gets not enough memory for it.
 */
export function stretchPassphrase(passphrase: Uint8Array, salt: Uint8Array, cost: PassphraseCost): KeyObject {
  try {
    return keyOf(argon2Sync('argon2id', parameters(passphrase, salt, cost)))
  } catch (cause) {
    throw tooDear(cost, cause)
  }
}

/** As {@link stretchPassphrase}, beside other work of the process. */
export async function stretchPassphraseAside(
  passphrase: Uint8Array,
  salt: Uint8Array,
  cost: PassphraseCost,
): Promise<KeyObject> {
  try {
    return keyOf(await promisify(argon2)('argon2id', parameters(passphrase, salt, cost)))
  } catch (cause) {
    throw tooDear(cost, cause)
  }
}

function parameters(
  message: Uint8Array,
  nonce: Uint8Array,
  { memoryKiB, passes, parallelism }: PassphraseCost,
) {
  return { message, nonce, memory: memoryKiB, passes, parallelism, tagLength: KEY_BYTES }
}

function keyOf(bytes: Buffer): KeyObject {
  try {
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}

function tooDear({ memoryKiB }: PassphraseCost, cause: unknown): SealOpenError {
  const text = `the passphrase can not be checked: argon2id with ${memoryKiB} KiB of memory failed`
  return new SealOpenError(text, { cause })
}

function isBetween(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}
