/** What was found in a folder of the Go KES at the start, and the sentences that tell an operator. */
import type { KeyName } from '../names.ts'

const NAMES_SHOWN_MAX = 5

export interface FolderFindings {
  /** New keys, which are this store's from now on. */
  readonly adopted: KeyName[]
  /** Keys whose file is gone. */
  readonly missing: KeyName[]
  /** Keys whose file holds something else than this store has left there. */
  readonly changed: KeyName[]
  /** Keys that were erased here, and whose very file is back. */
  readonly revived: KeyName[]
  /** Files that hold no key. */
  readonly unreadable: KeyName[]
  /** Keys whose files users other than the owner may read. */
  readonly open: KeyName[]
  /** How many entries have names that no key can have. */
  readonly foreign: number
}

/** What is told of keys that were found, and the rest of the sentence. */
const SENTENCES: readonly (readonly [kind: Exclude<keyof FolderFindings, 'foreign'>, sentence: string])[] = [
  ['adopted', 'found in the folder and taken over'],
  [
    'missing',
    "without a file: refused until the file is back; 'kes key rm' erases such a key if it was deleted on purpose",
  ],
  [
    'changed',
    "whose file was changed by another program: refused until the file is as it was; 'kes key adopt' takes it as it is",
  ],
  [
    'revived',
    "erased by this server, whose file is in the folder again: they stay erased; remove it, or 'kes key adopt' takes it as a key",
  ],
  ['unreadable', 'with a file that holds no key: not served; remove it, or restore it from a backup'],
  ['open', 'with a file that other users may read: run chmod 600 on it'],
]

/** @returns a sentence for each kind of finding, none if all is well. */
export function describeFindings(findings: FolderFindings, folder: string): string[] {
  const sentences = SENTENCES.flatMap(([kind, sentence]) => {
    const names = findings[kind]
    if (names.length === 0) return []
    const shown = names.slice(0, NAMES_SHOWN_MAX).map((name) => `'${name}'`)
    const more = names.length > shown.length ? ', …' : ''
    return `keys in '${folder}' ${sentence}: ${names.length} (${shown.join(', ')}${more})`
  })
  if (findings.foreign === 0) return sentences
  return [
    ...sentences,
    `entries of '${folder}' whose names are not those of keys, and which are ignored: ${findings.foreign}`,
  ]
}
