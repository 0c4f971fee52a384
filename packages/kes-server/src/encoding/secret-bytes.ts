/**
 * Buffers for bytes of keys.
 *
 * V8 keeps typed arrays of up to 64 bytes inside its heap. There its collector moves them, and OpenSSL's functions have
 * them moved out, and both leave a copy behind that nobody can wipe. An ArrayBuffer's bytes lie outside of that heap, in
 * one place.
 */
import { randomFillSync } from 'node:crypto'

/** @returns zeros, in one place until they are freed; whoever fills them wipes them. */
export function allocSecret(length: number): Buffer {
  return Buffer.from(new ArrayBuffer(length))
}

/** A copy; whoever has the original wipes that. */
export function copySecret(bytes: Uint8Array): Buffer {
  const secret = allocSecret(bytes.length)
  secret.set(bytes)
  return secret
}

export function randomSecret(length: number): Buffer {
  return randomFillSync(allocSecret(length))
}
