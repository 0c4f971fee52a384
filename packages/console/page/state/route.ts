/** Which view is shown: the part of the address behind `#`. It never leaves the browser, and holds no secret. */
import { signal } from '@preact/signals'

export const VIEWS = ['keys', 'objects', 'activity', 'access'] as const
export type ViewName = (typeof VIEWS)[number]

export interface Route {
  readonly view: ViewName
  /** What the view shows of its things: a key; a bucket, an object in it. */
  readonly names: readonly string[]
  /** Of the objects that are listed. */
  readonly prefix: string
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  const [first = '', ...rest] = path.split('/')
  const view = VIEWS.find((each) => each === first) ?? 'keys'
  const names = rest.filter((each) => each !== '').map(decode)
  return { view, names, prefix: new URLSearchParams(query).get('prefix') ?? '' }
}

/** An address that somebody made by hand may have percent signs that encode nothing. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export function routeTo(view: ViewName, names: readonly string[] = [], prefix = ''): string {
  const path = [view, ...names.map((name) => encodeURIComponent(name.toWellFormed()))].join('/')
  return `#/${path}${prefix === '' ? '' : `?${new URLSearchParams({ prefix })}`}`
}

export const route = signal<Route>({ view: 'keys', names: [], prefix: '' })

export function followAddress(): void {
  const read = () => {
    route.value = parseRoute(location.hash)
  }
  addEventListener('hashchange', read)
  read()
}
