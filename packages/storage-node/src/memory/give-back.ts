/** Memory of large buffers, freed without waiting for the garbage collector. */

/** Freeing a shorter one costs more than it saves. */
const BYTES_MIN = 8 * 1024

/**
 * Frees the memory of a buffer that Node has made for one piece of data, and that nobody looks at any more. So the next
 * piece has the same memory, which is still in the processor's cache, and a long stream leaves nothing to collect: that
 * would cost more than its encryption. The buffer and all views of its memory have no bytes afterwards.
 *
 * A buffer that is only part of its memory, as those of Node's pool are, is left alone.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < BYTES_MIN || byteLength !== buffer.byteLength) return
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}
