/** How a store's root key is unsealed: the fields that `keystore.sqlite` and `keystore.fs` share. */
import { Secret } from './secret.ts'
import type { Section } from './section.ts'
import { formatSize, parseSize } from './size.ts'

/** How the root key is unsealed. */
export type UnsealConfig =
  | { readonly type: 'passphrase'; readonly passphrase: Secret }
  | { readonly type: 'passphrase-file'; readonly path: string }
  | { readonly type: 'key-file'; readonly path: string }

export interface Argon2Config {
  readonly memoryBytes: number
  readonly passes: number
  readonly parallelism: number
}

/** RFC 9106, section 4: the second recommended option. */
const ARGON2_DEFAULT: Argon2Config = { memoryBytes: 64 * 2 ** 20, passes: 3, parallelism: 4 }
const ARGON2_MEMORY_MIN = 8 * 2 ** 20
const ARGON2_MEMORY_MAX = 2 ** 30
const ARGON2_PASSES_MAX = 16
const ARGON2_PARALLELISM_MAX = 16

/**
 * @param invalid - how errors begin.
 * @param isRequired - whether it is an error if the file says nothing.
 */
export function readUnseal(section: Section, invalid: string, isRequired: boolean): UnsealConfig | undefined {
  if (section.isWrong) return undefined
  const all = 'passphrase, passphrase_file or key_file'
  const names = ['passphrase', 'passphrase_file', 'key_file'].filter((name) => section.has(name))
  const [name, second] = names
  if (name === undefined) {
    if (isRequired)
      section.error('keystore', section.position, `${invalid}no ${all} specified`, 'add one of them')
    return undefined
  }
  if (second !== undefined) {
    section.error(
      'keystore',
      section.positionOf(second),
      `${invalid}more than one of ${all} specified`,
      'keep one of them',
    )
  }
  const text = section.required(name, 'keystore', `${invalid}${name} is empty`)
  if (text === '') return undefined
  if (name === 'passphrase') return { type: 'passphrase', passphrase: new Secret(text) }
  return { type: name === 'key_file' ? 'key-file' : 'passphrase-file', path: text }
}

/** @param invalid - how errors begin. */
export function readArgon2(section: Section, invalid: string): Argon2Config {
  const memory = section.text('memory')
  const memoryBytes = memory === undefined ? ARGON2_DEFAULT.memoryBytes : (parseSize(memory) ?? 0)
  if (memoryBytes < ARGON2_MEMORY_MIN || memoryBytes > ARGON2_MEMORY_MAX) {
    const message = `${invalid}invalid argon2 memory '${memory}'`
    const hint = `write a size from ${formatSize(ARGON2_MEMORY_MIN)} to ${formatSize(ARGON2_MEMORY_MAX)}`
    section.error('keystore', section.positionOf('memory'), message, hint)
  }
  return {
    memoryBytes,
    passes: section.integer('passes', 1, ARGON2_PASSES_MAX) ?? ARGON2_DEFAULT.passes,
    parallelism: section.integer('parallelism', 1, ARGON2_PARALLELISM_MAX) ?? ARGON2_DEFAULT.parallelism,
  }
}
