import { describe, expect, test } from 'vitest'
import {
  checkCopyConditions,
  checkReadConditions,
  checkWriteConditions,
  parseCopyRange,
  parseRange,
} from './conditions.ts'
import { S3Error } from './errors.ts'

const facts = { etag: 'abc', modifiedMs: Date.parse('2026-01-02T03:04:05.678Z') }
const EARLIER = 'Fri, 02 Jan 2026 03:04:04 GMT'
const SAME = 'Fri, 02 Jan 2026 03:04:05 GMT'

function outcome(body: () => unknown): unknown {
  try {
    return body()
  } catch (error) {
    if (error instanceof S3Error) return error.code
    throw error
  }
}

describe('the conditions of a read', () => {
  test.each<[Record<string, string>, string]>([
    [{}, 'met'],
    [{ 'if-match': '"abc"' }, 'met'],
    [{ 'if-match': 'abc' }, 'met'],
    [{ 'if-match': '"x", "abc"' }, 'met'],
    [{ 'if-match': '*' }, 'met'],
    [{ 'if-match': '"x"' }, 'PreconditionFailed'],
    [{ 'if-none-match': '"abc"' }, 'not modified'],
    [{ 'if-none-match': 'W/"abc"' }, 'not modified'],
    [{ 'if-none-match': '"x"' }, 'met'],
    [{ 'if-modified-since': SAME }, 'not modified'],
    [{ 'if-modified-since': EARLIER }, 'met'],
    [{ 'if-modified-since': 'yesterday' }, 'met'],
    [{ 'if-unmodified-since': SAME }, 'met'],
    [{ 'if-unmodified-since': EARLIER }, 'PreconditionFailed'],
    [{ 'if-match': '"abc"', 'if-unmodified-since': EARLIER }, 'met'],
    [{ 'if-none-match': '"x"', 'if-modified-since': SAME }, 'met'],
  ])('%j: %s', (headers, expected) => {
    expect(outcome(() => checkReadConditions(headers, facts))).toBe(expected)
  })
})

test('a copy whose source is not modified fails', () => {
  const headers = { 'x-amz-copy-source-if-none-match': '"abc"' }
  expect(outcome(() => checkCopyConditions(headers, facts))).toBe('PreconditionFailed')
})

describe('the conditions of a write', () => {
  test.each<[Record<string, string>, typeof facts | undefined, string | undefined]>([
    [{ 'if-none-match': '*' }, undefined, undefined],
    [{ 'if-none-match': '*' }, facts, 'PreconditionFailed'],
    [{ 'if-match': '"abc"' }, facts, undefined],
    [{ 'if-match': '"x"' }, facts, 'PreconditionFailed'],
    [{ 'if-match': '"abc"' }, undefined, 'NoSuchKey'],
  ])('%j over %j: %s', (headers, current, expected) => {
    expect(outcome(() => checkWriteConditions(headers, current))).toBe(expected)
  })
})

describe('ranges', () => {
  test.each<[string | undefined, number, unknown]>([
    [undefined, 10, undefined],
    ['bytes=0-0', 10, { start: 0, length: 1 }],
    ['bytes=3-', 10, { start: 3, length: 7 }],
    ['bytes=3-99', 10, { start: 3, length: 7 }],
    ['bytes=-3', 10, { start: 7, length: 3 }],
    ['bytes=-99', 10, { start: 0, length: 10 }],
    ['bytes=10-', 10, 'InvalidRange'],
    ['bytes=-0', 10, 'InvalidRange'],
    ['bytes=0-', 0, 'InvalidRange'],
    ['bytes=5-3', 10, undefined],
    ['bytes=1-2,4-5', 10, undefined],
    ['items=1-2', 10, undefined],
    ['bytes=-', 10, undefined],
  ])('%s of %d bytes', (text, size, expected) => {
    expect(outcome(() => parseRange(text, size))).toEqual(expected)
  })

  test.each<[string, unknown]>([
    ['bytes=0-4', { start: 0, length: 5 }],
    ['bytes=4-', 'InvalidArgument'],
    ['bytes=-4', 'InvalidArgument'],
    ['bytes=4-3', 'InvalidArgument'],
    ['bytes=4-10', 'InvalidRange'],
  ])('of a source: %s of 10 bytes', (text, expected) => {
    expect(outcome(() => parseCopyRange(text, 10))).toEqual(expected)
  })
})
