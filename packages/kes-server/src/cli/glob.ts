/** Go's `path.Match`, by which KES chooses names, for names without a slash: `*`, `?`, `[a-z]`, `[^a-z]` and `\`. */

/** In a class; `-`, `]` and `\` stand for themselves behind a `\` alone. */
const LETTER = String.raw`(?:\\.|[^\\\]-])`
const RANGE = new RegExp(`(${LETTER})(?:-(${LETTER}))?`, 'gsu')
const PART = new RegExp(
  String.raw`(?<any>\*)|(?<one>\?)|\[(?:(?<not>\^)|(?!\^))(?<ranges>(?:${LETTER}(?:-${LETTER})?)+)\]|\\(?<escaped>.)|(?<plain>[^*?[\\])`,
  'suy',
)

/** @returns undefined for a pattern that is malformed, such as `[`. */
export function parseGlob(pattern: string): RegExp | undefined {
  let source = ''
  for (PART.lastIndex = 0; PART.lastIndex < pattern.length; ) {
    const part = PART.exec(pattern)?.groups
    if (part === undefined) return undefined
    const { any, one, not = '', ranges, escaped, plain = escaped } = part
    if (any !== undefined) source += '.*'
    else if (one !== undefined) source += '.'
    else if (ranges === undefined) source += literal(plain ?? '')
    else source += `[${not}${[...ranges.matchAll(RANGE)].map(([, low, high]) => range(low, high)).join('')}]`
  }
  return new RegExp(`^${source}$`, 'su')
}

/** A range that ends before it begins is well-formed, and holds nothing. */
function range(low = '', high = low): string {
  const [from, to] = [low.at(-1) ?? '', high.at(-1) ?? '']
  return from <= to ? `${literal(from)}-${literal(to)}` : ''
}

function literal(letter: string): string {
  return `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`
}
