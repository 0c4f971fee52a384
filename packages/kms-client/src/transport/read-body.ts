/** The bodies of replies: as a whole, or as they come. */
import { brokenConnection, type HttpReply } from './channel.ts'

/** The body has more bytes than it may. */
export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError'
}

/**
 * Listens for the chunks itself: to iterate over a stream costs more than all the rest of a short reply.
 *
 * @throws {@link BodyTooLargeError}, or the error of a connection that broke.
 */
export function readBody(reply: HttpReply, bytesMax: number): Promise<Buffer> {
  const { body } = reply
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      chunks.push(chunk)
      if (bytes <= bytesMax) return
      body.destroy()
      reject(new BodyTooLargeError())
    })
    body.once('end', () => {
      if (reply.isComplete())
        resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, bytes))
      else reject(brokenConnection())
    })
    body.once('error', reject)
    body.once('close', () => {
      if (!body.readableEnded) reject(brokenConnection())
    })
  })
}

/** @throws the error of a connection that broke. */
export async function* readChunks(reply: HttpReply): AsyncGenerator<Buffer> {
  yield* reply.body as AsyncIterable<Buffer>
  if (!reply.isComplete()) throw brokenConnection()
}
