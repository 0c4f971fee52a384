/** Bytes ↔ lines of text, one at a time. */
import { StringDecoder } from 'node:string_decoder'
import { BackupFormatError, LINE_LENGTH_MAX } from './format.ts'

/** @throws {@link BackupFormatError} for a line that is too long, or that no newline ends. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of chunks) {
    const parts = (rest + decoder.write(chunk)).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) yield line
    if (rest.length > LINE_LENGTH_MAX)
      throw new BackupFormatError('the content is no backup: a line has no end')
  }
  if (rest + decoder.end() !== '')
    throw new BackupFormatError('the content is no backup: its last line is cut off')
}
