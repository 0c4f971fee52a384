/** Recorded data of the Go KES, as `vectors/kes/README.md` describes it. Byte fields are base64. */
import { readFileSync } from 'node:fs'

/** The content of `test/vectors/kes/<file>`; its shape is the caller's word for what the README says. */
export function readVectors<Content>(file: string): Content {
  return JSON.parse(readFileSync(new URL(`vectors/kes/${file}`, import.meta.url), 'utf8'))
}
