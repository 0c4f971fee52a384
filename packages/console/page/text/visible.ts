/**
 * Names and contexts as they can be shown: whoever may store an object chooses its name, and must not be able to make
 * it look like another one, or to turn the text around it.
 */

export interface Piece {
  readonly text: string
  /** An escape in place of a character that would not be seen, or would move others. */
  readonly isEscape: boolean
}

/**
 * Controls, format characters (among them all that turn the direction of a text), separators of lines and paragraphs,
 * private use, lone surrogates, and what is not assigned. The joiners of emoji and scripts are format characters, too.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}]/u

const PLAIN = /^[ -~]+$/

export function visiblePieces(text: string): readonly Piece[] {
  if (PLAIN.test(text)) return [{ text, isEscape: false }]
  const pieces: { text: string; isEscape: boolean }[] = []
  for (const character of text) {
    const isEscape = HIDDEN.test(character)
    const shown = isEscape ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : character
    const last = pieces.at(-1)
    if (last?.isEscape === isEscape) last.text += shown
    else pieces.push({ text: shown, isEscape })
  }
  return pieces
}

/** The same as one text, for what has room for nothing else: the labels of controls. */
export function visibleText(text: string): string {
  return visiblePieces(text)
    .map((piece) => piece.text)
    .join('')
}
