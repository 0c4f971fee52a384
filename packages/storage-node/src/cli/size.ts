/** Sizes as people write them: `64MiB`, `1GiB`, or a number of bytes. */
import { CliError } from './outcome.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** @returns bytes. @throws CliError */
export function parseSize(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMGT]iB)?$/.exec(text) ?? []
  if (digits === undefined) throw new CliError(`'${text}' is no size: expected such as 512MiB or 1GiB`)
  return Number(digits) * (UNITS[unit] ?? 1)
}
