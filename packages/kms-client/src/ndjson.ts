/** Lines of newline-delimited JSON, read as they arrive. */
import { KesProtocolError } from './errors.ts'

const LINE_FEED = 0x0a

/**
 * The lines of a stream of UTF-8 bytes without their line feeds; empty ones are left out.
 *
 * @param options - `isRestALine`: whether what stands behind the last line feed is a line, too, or what is left of one.
 * @throws {@link KesProtocolError} if a line has over `lineBytesMax` bytes.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  lineBytesMax: number,
  { isRestALine = true }: { readonly isRestALine?: boolean } = {},
): AsyncGenerator<string> {
  let parts: Buffer[] = [] // of the line that has begun
  let partsBytes = 0
  const take = (part: Buffer): void => {
    partsBytes += part.length
    if (partsBytes > lineBytesMax)
      throw new KesProtocolError(`the server sent a line of over ${lineBytesMax} bytes`)
    parts.push(part)
  }
  const line = (): string => {
    const text = Buffer.concat(parts, partsBytes).toString('utf8').trim()
    parts = []
    partsBytes = 0
    return text
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      take(chunk.subarray(start, end))
      start = end + 1
      const text = line()
      if (text !== '') yield text
    }
    take(chunk.subarray(start))
  }
  const rest = line()
  if (rest !== '' && isRestALine) yield rest
}
