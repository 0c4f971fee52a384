/** Verifies an exported journal, for the commands that prove something with one. */
import type { KeyObject } from 'node:crypto'
import { ProofError, parseEntryLine } from '../journal/document.ts'
import type { Entry } from '../journal/entry.ts'
import type { JournalHead } from '../journal/journal.ts'
import { JournalBrokenError, JournalVerifier, parseHead } from '../journal/verify.ts'
import type { KesCommand } from './command.ts'
import type { RawLine } from './file.ts'

/** The head of `--expect`. @throws a usage error if the text is none. */
export function expectedHead(command: KesCommand, text: string | undefined): JournalHead | undefined {
  const expected = text === undefined ? undefined : parseHead(text)
  if (text !== undefined && expected === undefined) throw command.usageError(`invalid head: "${text}"`)
  return expected
}

/**
 * @param lines - of the export.
 * @param onEntry - called for each entry once it is verified.
 * @returns the journal's head.
 * @throws {@link JournalBrokenError}
 */
export async function verifyJournal(
  lines: AsyncIterable<RawLine> | Iterable<RawLine>,
  publicKey: KeyObject,
  expected: JournalHead | undefined,
  onEntry: (entry: Entry) => void,
): Promise<JournalHead> {
  const verifier = new JournalVerifier(publicKey, expected)
  for await (const { bytes, isWhole } of lines) {
    const number = verifier.head().number + 1
    if (!isWhole) throw new JournalBrokenError(number, 'its line is cut off')
    onEntry(verifier.nextFiled(parseEntry(bytes.toString(), number)))
  }
  return verifier.end()
}

function parseEntry(line: string, number: number) {
  try {
    return parseEntryLine(line)
  } catch (error) {
    throw error instanceof ProofError ? new JournalBrokenError(number, error.message) : error
  }
}
