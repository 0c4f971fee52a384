import { expect, test } from 'vitest'
import { Blocks } from './blocks.ts'

test('a block that was given back is taken again, without what was in it', () => {
  const blocks = new Blocks(100, 1)
  const block = blocks.take()
  expect(block).toHaveLength(100)
  block.fill(7)
  blocks.giveBack(block)
  expect(blocks.take()).toBe(block)
  expect(block.every((byte) => byte === 0)).toBe(true)
})

test('a block is that of its taker alone until it is given back, and no more are kept than allowed', () => {
  const blocks = new Blocks(100, 1)
  const [one, other] = [blocks.take(), blocks.take()]
  expect(one).not.toBe(other)
  blocks.giveBack(one)
  blocks.giveBack(other)
  expect(blocks.take()).toBe(one)
  expect(blocks.take()).not.toBe(other)
})
