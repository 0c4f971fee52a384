import { expect, test } from 'vitest'
import { Lines, splitLines } from './lines.ts'

test('lines of one turn are one message, in their order', async () => {
  const sent: string[] = []
  const lines = new Lines(0, (text, done) => {
    sent.push(text)
    done()
  })
  lines.write('one\n')
  lines.write('two\n')
  expect(sent).toEqual([])
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(sent).toEqual(['one\ntwo\n'])
  expect(splitLines('one\ntwo\n')).toEqual(['one\n', 'two\n'])
})

test('what is flushed is sent at once, and only once', async () => {
  const sent: string[] = []
  const lines = new Lines(0, (text) => sent.push(text))
  lines.write('one\n')
  lines.flush()
  lines.flush()
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(sent).toEqual(['one\n'])
})

test('a reader that takes nothing does not fill the memory: lines beyond 64 MiB are dropped, and counted', () => {
  let taken: (() => void) | undefined
  let characters = 0
  const lines = new Lines(0, (text, done) => {
    characters += text.length
    taken = done
  })
  const line = `${'x'.repeat(1024 * 1024 - 1)}\n`
  for (let count = 0; count < 70; count += 1) lines.write(line)
  expect([characters / line.length, lines.dropped]).toEqual([65, 5])
  taken?.()
  lines.write(line)
  expect(characters / line.length).toBe(66)
})
