/** Lines of a stream, in batches: what has come in one piece is handled, and drawn, at once. */

/** What follows the last line feed is no line: its end never came. */
export async function* readLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string[]> {
  // Not `for await` over the stream, which Safari 18 does not know.
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (rest + read.value).split('\n')
      rest = lines.pop() ?? ''
      const whole = lines.filter((line) => line !== '')
      if (whole.length > 0) yield whole
    }
  } finally {
    await reader.cancel()
  }
}
