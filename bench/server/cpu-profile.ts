/** Where a server spends its CPU time: the functions with most self time of a `.cpuprofile`. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** Chrome DevTools Protocol, `Profiler.Profile`, as far as it is read here. */
export interface CpuProfile {
  /** Microseconds of the system's monotonic clock, which all processes share. */
  readonly startTime: number
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** The node that each sample hit. */
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  /** `decrypt  ciphertext.ts:140` */
  readonly place: string
  /** Of the time that was not idle. */
  readonly share: number
}

/** Now, on the clock of {@link CpuProfile.startTime}. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

/**
 * @param fromMicros - what was sampled before, such as the start of the server, is left out.
 * @returns the `count` greatest first.
 */
export function topSelfTimes(profile: CpuProfile, fromMicros: number, count: number): SelfTime[] {
  const { nodes, samples, timeDeltas } = profile
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const micros = new Map<string, number>()
  let total = 0
  let atMicros = profile.startTime
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? '(unknown)'
    const delta = timeDeltas[index] ?? 0
    atMicros += delta
    if (place === '(idle)' || atMicros < fromMicros) continue
    total += delta
    micros.set(place, (micros.get(place) ?? 0) + delta)
  }
  return [...micros]
    .map(([place, time]) => ({ place, share: time / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, count)
}

/** @throws Error if the folder holds no profile. */
export function readProfile(folder: string): CpuProfile {
  const name = readdirSync(folder).find((each) => each.endsWith('.cpuprofile'))
  if (name === undefined) throw new Error('the server wrote no CPU profile')
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile
}

function placeOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const file = url.startsWith('node:') ? url : basename(url)
  return `${name}  ${file}:${lineNumber + 1}`
}
