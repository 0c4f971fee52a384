/** Content on its way from one object into another, with what must be known of it at its end. */
import { createHash } from 'node:crypto'
import { type ChecksumAlgorithm, createChecksum } from './checksums.ts'
import type { ContentFacts } from './object-write.ts'

export interface MeasureOptions {
  readonly needsMd5: boolean
  readonly algorithm: ChecksumAlgorithm | undefined
}

export interface MeasuredContent {
  readonly content: AsyncIterable<Uint8Array>
  /** Once the content has ended; the same each time. */
  readonly facts: () => ContentFacts
}

export async function measureContent(
  content: AsyncIterable<Uint8Array>,
  { needsMd5, algorithm }: MeasureOptions,
): Promise<MeasuredContent> {
  const md5 = needsMd5 ? createHash('md5') : undefined
  const running = algorithm && (await createChecksum(algorithm))
  let size = 0
  let facts: ContentFacts | undefined

  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const bytes of content) {
      size += bytes.length
      md5?.update(bytes)
      running?.update(bytes)
      yield bytes
    }
    facts = {
      size,
      md5: md5?.digest(),
      checksum: algorithm && running && { algorithm, digest: running.digest() },
      isChecksumTrailing: false,
    }
  }

  return {
    content: measured(),
    facts() {
      if (facts === undefined) throw new Error('the content has not ended')
      return facts
    },
  }
}
