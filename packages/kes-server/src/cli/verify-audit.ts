/** Verifies audit files, given as lines, with the heads of an exported journal. */
import type { KeyObject } from 'node:crypto'
import { headOf } from '../audit/head.ts'
import { type AuditVerdict, AuditVerifier, type SignedHead } from '../audit/verify.ts'
import type { JournalHead } from '../journal/journal.ts'
import type { RawLine } from './file.ts'
import { verifyJournal } from './verify-journal.ts'

type Lines = AsyncIterable<RawLine> | Iterable<RawLine>

export interface NamedLines {
  readonly name: string
  readonly lines: Lines
}

/** The heads in a journal that is whole. @throws {@link JournalBrokenError} */
export async function verifyHeads(
  journal: Lines,
  publicKey: KeyObject,
  expected: JournalHead | undefined,
): Promise<SignedHead[]> {
  const heads: SignedHead[] = []
  await verifyJournal(journal, publicKey, expected, (entry) => {
    const head = headOf(entry)
    if (head !== undefined) heads.push({ seq: head.seq, hash: head.hash, entry: entry.number })
  })
  return heads
}

/**
 * @param onLine - called after each line, with how many there were.
 * @throws {@link AuditBrokenError}
 */
export async function verifyAuditFiles(
  files: readonly NamedLines[],
  heads: readonly SignedHead[],
  from?: number,
  onLine: (count: number) => void = () => {},
): Promise<AuditVerdict> {
  const verifier = new AuditVerifier(heads, from)
  for (const { name, lines } of files) {
    verifier.beginFile(name)
    let tornBytes = 0
    for await (const { bytes, isWhole } of lines) {
      if (isWhole) verifier.next(bytes)
      else tornBytes = bytes.length
      onLine(verifier.count)
    }
    verifier.endFile(tornBytes)
  }
  return verifier.end()
}
