/** The states of keys as people read them. */
import type { Io } from './io.ts'
import { type ColorMode, paint, type Style } from './paint.ts'

const STYLES: ReadonlyMap<string, Style> = new Map([
  ['enabled', 'green'],
  ['disabled', 'yellow'],
])

/** @param state - as servers send it. @returns what {@link paintState} takes. */
export function shownState(state: string): string {
  return state === 'pending' ? 'pending deletion' : state
}

export function paintState(io: Io, shown: string, color: ColorMode | undefined): string {
  return paint(STYLES.get(shown) ?? 'red', shown, io.stdout, io.env, color)
}
