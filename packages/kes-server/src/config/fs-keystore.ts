/** `keystore.fs`: the folder of the Go KES. KES knows `path` alone; the other fields are about what stands beside it. */
import type { Section } from './section.ts'
import { type Argon2Config, readArgon2, readUnseal, type UnsealConfig } from './unseal.ts'

export interface FsKeystore {
  readonly type: 'fs'
  /** The folder of keys. */
  readonly path: string
  /** What KES has no place for. Undefined: beside the folder. */
  readonly databasePath: string | undefined
  /** Undefined: a key file beside the database, made with it. */
  readonly unseal: UnsealConfig | undefined
  readonly argon2: Argon2Config
}

export function readFs(section: Section): FsKeystore {
  const invalid = 'kesconf: invalid fs keystore: '
  return {
    type: 'fs',
    path: section.required('path', 'keystore', `${invalid}no path specified`),
    databasePath: section.text('database'),
    unseal: readUnseal(section, invalid, false),
    argon2: readArgon2(section.section('argon2'), invalid),
  }
}
