/**
 * Lists of endpoints as MinIO's environment has them: commas between the items, and ranges in an item.
 *
 *     https://kes{1...3}:7373                 kes1, kes2, kes3
 *     https://kes{01...03}:737{1...2}         kes01:7371, kes02:7371, kes03:7371, kes01:7372, …
 *     https://kes-{a...c}:7373                kes-a, kes-b, kes-c
 *
 * A start with leading zeros sets the width. Of several ranges in one item the first runs fastest.
 */

const ENDPOINTS_MAX = 1024
const RANGE = /\{([^{}]*)\}/g
const NUMBER = /^\d+$/
const LETTER = /^(?:[a-z]|[A-Z])$/

/** The message is MinIO's; `item` is the part of the list that is at fault. */
export class InvalidEndpointError extends TypeError {
  override readonly name = 'InvalidEndpointError'
  readonly item: string
  constructor(item: string, problem: string) {
    super(`invalid endpoint '${item}': ${problem}`)
    this.item = item
  }
}

/**
 * The endpoints of a list, not yet checked one by one. Blanks around an item don't count, nor do empty items.
 *
 * @throws {@link InvalidEndpointError} if a range is malformed.
 */
export function expandEndpoints(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .flatMap(expandItem)
}

function expandItem(item: string): string[] {
  const texts = item.replaceAll(RANGE, '').match(/[{}]/) ? undefined : item.split(RANGE)
  if (texts === undefined) throw invalidRange(item)
  // What stands between the ranges, and their contents, take turns.
  let endpoints = [texts[0] ?? '']
  const ranges = texts.filter((_, index) => index % 2 === 1).map((text) => expandRange(item, text))
  if (ranges.reduce((count, range) => count * range.length, 1) > ENDPOINTS_MAX) throw tooMany(item)
  for (const [index, range] of ranges.entries()) {
    const after = texts[2 * index + 2] ?? ''
    endpoints = range.flatMap((value) => endpoints.map((before) => before + value + after))
  }
  return endpoints
}

function expandRange(item: string, text: string): string[] {
  const [start = '', end = '', ...more] = text.split('...')
  if (more.length > 0) throw invalidRange(item)
  if (NUMBER.test(start) && NUMBER.test(end)) {
    const width = start.startsWith('0') ? start.length : 0
    return count(item, start, end, Number(start), Number(end)).map((number) =>
      String(number).padStart(width, '0'),
    )
  }
  if (LETTER.test(start) && LETTER.test(end) && start < 'a' === end < 'a') {
    return count(item, start, end, start.charCodeAt(0), end.charCodeAt(0)).map((code) =>
      String.fromCharCode(code),
    )
  }
  throw invalidRange(item)
}

function count(item: string, start: string, end: string, first: number, last: number): number[] {
  if (first > last) {
    throw new InvalidEndpointError(item, `Incorrect range start ${start} cannot be bigger than end ${end}`)
  }
  if (last - first >= ENDPOINTS_MAX) throw tooMany(item)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

function tooMany(item: string): InvalidEndpointError {
  return new InvalidEndpointError(item, `more than ${ENDPOINTS_MAX} endpoints`)
}

function invalidRange(item: string): InvalidEndpointError {
  return new InvalidEndpointError(
    item,
    `Invalid ellipsis format in (${item}), Ellipsis range must be provided in format {N...M} where N and M are positive integers, M must be greater than N,  with an allowed minimum range of 4`,
  )
}
