/**
 * Where one pane is shown at a time, the one that comes takes the focus, because the other goes with what had it
 * (style/layout.css has the same width).
 */
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

const ALONE = '(max-width: 900px)'

/** @returns for the heading of the pane, which takes `tabIndex={-1}`. */
export function useFocusWhenAlone(): RefObject<HTMLHeadingElement | null> {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (matchMedia(ALONE).matches) heading.current?.focus()
  }, [])
  return heading
}
