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
