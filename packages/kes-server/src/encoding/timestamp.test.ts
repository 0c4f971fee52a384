import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { canonicalTimestamp, formatTimestamp, now, parseTimestamp } from './timestamp.ts'

const timestamp = fc.record({
  seconds: fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }),
  nanos: fc.integer({ min: 0, max: 999_999_999 }),
})

afterEach(() => void vi.useRealTimers())

describe('parseTimestamp', () => {
  test.each([
    'yesterday',
    '',
    '2022-03-01',
    '2022-03-01T10:00:00',
    '2022-03-01 10:00:00Z',
    '2022-03-01t10:00:00Z',
    '2022-03-01T10:00:00z',
    '2022-03-01T10:00:00,5Z',
    '2022-03-01T10:00:00.Z',
    '2022-3-01T10:00:00Z',
    '2022-03-01T1:00:00Z',
    '2022-13-01T10:00:00Z',
    '2022-02-29T10:00:00Z',
    '2022-04-31T10:00:00Z',
    '2022-03-00T10:00:00Z',
    '2022-03-01T24:00:00Z',
    '2022-03-01T23:59:60Z',
    '2022-03-01T10:00:00+24:00',
    '2022-03-01T10:00:00+0200',
    '2022-03-01T10:00:00Z ',
    '2022-03-01T10:00:00Z\n',
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '12022-03-01T10:00:00Z',
  ])('refuses %j', (text) => {
    expect(parseTimestamp(text)).toBeUndefined()
    expect(canonicalTimestamp(text)).toBeUndefined()
  })

  test.each([
    ['1970-01-01T00:00:00Z', 0n, 0],
    ['1970-01-01T02:00:00.5+02:00', 0n, 500_000_000],
    ['1969-12-31T23:59:59.25Z', -1n, 250_000_000],
    ['0001-01-01T00:00:00Z', -62_135_596_800n, 0],
    ['9999-12-31T23:59:59.999999999Z', 253_402_300_799n, 999_999_999],
    ['9999-12-31T23:59:59.9999999999Z', 253_402_300_799n, 999_999_999],
    ['2024-02-29T00:00:00-00:30', 1_709_166_600n, 0],
  ])('reads %s', (text, seconds, nanos) => {
    expect(parseTimestamp(text)).toEqual({ seconds, nanos })
  })

  test('reads back every time that is formatted', () => {
    fc.assert(
      fc.property(timestamp, (time) => {
        expect(parseTimestamp(formatTimestamp(time))).toEqual(time)
      }),
    )
  })

  test('agrees with Date on whole milliseconds', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          const time = parseTimestamp(date.toISOString())
          expect(Number(time?.seconds) * 1000 + Number(time?.nanos) / 1e6).toBe(date.getTime())
        },
      ),
    )
  })
})

describe('formatTimestamp', () => {
  test('removes the zeros at the end of the fraction, and an empty fraction', () => {
    expect(formatTimestamp({ seconds: 1n, nanos: 0 })).toBe('1970-01-01T00:00:01Z')
    expect(formatTimestamp({ seconds: 1n, nanos: 5 })).toBe('1970-01-01T00:00:01.000000005Z')
    expect(formatTimestamp({ seconds: 1n, nanos: 120_000_000 })).toBe('1970-01-01T00:00:01.12Z')
  })

  test.each([
    { seconds: -62_135_596_801n, nanos: 0 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
    { seconds: 0n, nanos: 0.5 },
  ])('refuses $seconds s $nanos ns', (time) => {
    expect(() => formatTimestamp(time)).toThrow(RangeError)
  })
})

describe('canonicalTimestamp', () => {
  test.each([
    ['2022-03-01T10:00:00+02:00', '2022-03-01T10:00:00+02:00'],
    ['2022-03-01T10:00:00.500-08:00', '2022-03-01T10:00:00.5-08:00'],
    ['2022-03-01T10:00:00.000+00:00', '2022-03-01T10:00:00Z'],
    ['2022-03-01T10:00:00.1234567891Z', '2022-03-01T10:00:00.123456789Z'],
  ])('writes %s as %s', (text, expected) => {
    expect(canonicalTimestamp(text)).toBe(expected)
  })

  test('leaves what is formatted as it is', () => {
    fc.assert(
      fc.property(timestamp, (time) => {
        expect(canonicalTimestamp(formatTimestamp(time))).toBe(formatTimestamp(time))
      }),
    )
  })
})

test('now is the present time in UTC, without zeros at the end', () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 10, 24, 1, 42, 4, 120) })
  expect(now()).toBe('2026-11-24T01:42:04.12Z')
})
