/** Random numbers that a seed repeats, so that a soak can be run again as it was. Not for secrets. */

/** Mulberry32 by Tommy Ettinger: uniform in [0, 1), a period of about 2^32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface Weighted {
  /** Greater than 0. */
  readonly weight: number
}

/** One of the choices, each as often as its weight says. @param random - in [0, 1). */
export function chooseWeighted<Choice extends Weighted>(choices: readonly Choice[], random: number): Choice {
  let left = random * choices.reduce((sum, { weight }) => sum + weight, 0)
  for (const choice of choices) {
    left -= choice.weight
    if (left < 0) return choice
  }
  throw new RangeError('nothing to choose from')
}
