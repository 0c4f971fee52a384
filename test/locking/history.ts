/** What was asked of keys and answered, and what of it must not have happened. */

/** A use of a key. Times are numbers of one counter that goes up with each sending and each answer. */
export interface Use {
  readonly key: string
  readonly begun: number
  readonly ended: number
  readonly endedAt: Moment
  /** Undefined where the connection broke. */
  readonly status: number | undefined
}

/** A change of a key, and from its answer on its uses are refused (`locks`), or taken again. */
export interface Change {
  readonly key: string
  readonly locks: boolean
  readonly begun: number
  readonly ended: number
  readonly endedAt: Moment
}

/** When the client has read an answer. */
export interface Moment {
  readonly ms: number
  /** Of its event loop. */
  readonly turn: number
}

/** What a client may take to read what lies in its sockets already, on a machine that has other work, too. */
const READING_MS = 100
const READING_TURNS = 3

export interface Verdict {
  /** Uses that went on while their key was locked, or that came while it was locked. */
  readonly raced: number
  /** Sentences, of which there should be none. */
  readonly violations: readonly string[]
}

/**
 * @param changes - of each key in their order, in turns: the first makes the key, the second locks it.
 */
export function judge(changes: readonly Change[], uses: readonly Use[]): Verdict {
  const byKey = Map.groupBy(changes, ({ key }) => key)
  const violations: string[] = []
  let raced = 0
  for (const use of uses) {
    const own = byKey.get(use.key) ?? []
    // The last change that was answered before the use began; what follows it may count or not.
    const index = own.findLastIndex(({ ended }) => ended < use.begun)
    const before = own[index]
    const next = own[index + 1]
    const isAlone = next === undefined || use.ended < next.begun
    if (before?.locks === true) raced += 1
    else if (next?.locks === true && !isAlone) raced += 1
    if (use.status === undefined || before === undefined) continue
    if (before.locks && isAlone && use.status === 200) {
      violations.push(`a use of '${use.key}' that began after its lock was answered was accepted`)
    } else if (!before.locks && isAlone && use.status !== 200) {
      violations.push(`a use of '${use.key}' was answered ${use.status} although it was not locked`)
    } else if (!before.locks && next?.locks === true && use.ended > next.ended && use.status === 200) {
      const after = own[index + 2]
      const isLate =
        use.endedAt.ms > next.endedAt.ms + READING_MS && use.endedAt.turn > next.endedAt.turn + READING_TURNS
      if (isLate && (after === undefined || use.ended < after.begun))
        violations.push(`a use of '${use.key}' ended after the lock that it had raced was answered`)
    }
  }
  return { raced, violations }
}
