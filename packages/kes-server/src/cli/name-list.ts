/** Lists of names, as `kes ls` and every other `ls` print them. */
import type { OutputFlags } from './command.ts'
import { type Io, printJson } from './io.ts'
import { paint } from './paint.ts'

/** A header and a name a line, or nothing at all if there is no name; as JSON, the array. */
export function printNames(
  io: Io,
  header: string,
  names: readonly string[],
  { json, color }: OutputFlags,
): void {
  if (json) {
    printJson(io, names)
    return
  }
  if (names.length === 0) return
  const title = paint('bold', header, io.stdout, io.env, color)
  io.stdout.write(`${[title, ...names].join('\n')}\n`)
}

export function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  return Array.fromAsync(items)
}

const NAMES_MAX = 20

/** Some of many names. */
export function shown(names: readonly string[]): string {
  const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : ''
  return names.slice(0, NAMES_MAX).join(', ') + more
}
