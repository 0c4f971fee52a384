/** Chance that can be had again: the same seed, the same numbers. */

/**
 * Mulberry32, a generator with 32 bits of state. Good enough to spread delays, and for nothing else.
 *
 * @param seeds - numbers that together name the sequence.
 * @returns a function that gives the next number, from 0 to below 1.
 */
export function randomSequence(...seeds: readonly number[]): () => number {
  let state = seeds.reduce((mixed, seed) => Math.imul(mixed ^ seed, 0x9e3779b1) ^ (mixed >>> 15), 0x2545f491)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
