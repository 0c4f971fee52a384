/** A text that somebody else chose: isolated from the direction of what stands around it, with nothing hidden in it. */
import { shortIdentity } from '../text/format.ts'
import { visiblePieces, visibleText } from '../text/visible.ts'

export function Name({ text }: { readonly text: string }) {
  return (
    <bdi class="name">
      {visiblePieces(text).map((piece) => (piece.isEscape ? <i>{piece.text}</i> : piece.text))}
    </bdi>
  )
}

export function Identity({ text }: { readonly text: string | undefined }) {
  if (text === undefined || text === '') return <span class="quiet">–</span>
  return (
    <bdi class="name" title={visibleText(text)}>
      {visibleText(shortIdentity(text))}
    </bdi>
  )
}
