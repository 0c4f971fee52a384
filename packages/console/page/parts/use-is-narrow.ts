/** Whether the window has the width of a phone: rows are two lines high then (style/table.css has the same width). */
import { useEffect, useState } from 'preact/hooks'

const NARROW = matchMedia('(max-width: 640px)')

export function useIsNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(NARROW.matches)
  useEffect(() => {
    const read = () => setNarrow(NARROW.matches)
    NARROW.addEventListener('change', read)
    return () => NARROW.removeEventListener('change', read)
  }, [])
  return isNarrow
}
