/** A client chooses paths and names: none of them may move the cursor, colour the text, turn its direction or make a line. */
export function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) => {
    return `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`
  })
}
