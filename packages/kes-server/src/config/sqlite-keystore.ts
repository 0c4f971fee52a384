/** `keystore.sqlite`: Latchkey's own store, a database of sealed keys. */
import type { Section } from './section.ts'
import { type Argon2Config, readArgon2, readUnseal, type UnsealConfig } from './unseal.ts'

export interface SqliteKeystore {
  readonly type: 'sqlite'
  readonly path: string
  readonly unseal: UnsealConfig
  /** For a new passphrase slot only: a slot that exists carries its own. */
  readonly argon2: Argon2Config
}

export function readSqlite(section: Section): SqliteKeystore | undefined {
  const invalid = 'kesconf: invalid sqlite keystore: '
  const path = section.required('path', 'keystore', `${invalid}no path specified`)
  const argon2 = readArgon2(section.section('argon2'), invalid)
  const unseal = readUnseal(section, invalid, true)
  return unseal && { type: 'sqlite', path, unseal, argon2 }
}
