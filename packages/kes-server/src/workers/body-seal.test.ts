import { expect, test } from 'vitest'
import { BodySeal } from './body-seal.ts'

test('a body arrives as it was, and neither side keeps it on the way', () => {
  const supervisor = BodySeal.generate()
  const key = supervisor.exportKey()
  const worker = new BodySeal(key)
  expect(key.every((byte) => byte === 0)).toBe(true)
  for (const text of ['', 'a body', 'x'.repeat(100_000)]) {
    const body = Buffer.from(text)
    const sealed = worker.seal(body)
    expect(body.every((byte) => byte === 0)).toBe(true)
    if (text !== '') expect(Buffer.from(sealed).includes(text)).toBe(false)
    expect(supervisor.open(sealed).toString()).toBe(text)
  }
})

test('a body that was changed, or sealed by another server, does not open', () => {
  const sealed = BodySeal.generate().seal(Buffer.from('a body'))
  expect(() => BodySeal.generate().open(sealed)).toThrow('a body was damaged')
})
