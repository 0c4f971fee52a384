/** Runs at once, but not again before `ms` have passed; what is asked for in between becomes one run at their end. */
export function seldom(ms: number, run: () => void): () => void {
  let last = Number.NEGATIVE_INFINITY
  let isAsked = false
  return () => {
    if (isAsked) return
    isAsked = true
    const wait = Math.max(0, last + ms - performance.now())
    setTimeout(() => {
      isAsked = false
      last = performance.now()
      run()
    }, wait)
  }
}
