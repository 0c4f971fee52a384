/** Which requests a fault, or a look at the recorded ones, means. */

export interface RequestFilter {
  /** `/v1/key/decrypt/orders`, or with `*` for any characters: `/v1/key/*`. Several: any of them. Default: all. */
  readonly paths?: string | readonly string[] | undefined
  /** `PUT`; several: any of them. Default: all. */
  readonly methods?: string | readonly string[] | undefined
}

/** @returns whether a request of this method and path, which has no query, is meant. */
export function matcherOf({ paths, methods }: RequestFilter): (method: string, path: string) => boolean {
  const patterns = paths === undefined ? undefined : [paths].flat().map(patternOf)
  const names = methods === undefined ? undefined : [methods].flat().map((name) => name.toUpperCase())
  return (method, path) =>
    (names === undefined || names.includes(method)) &&
    (patterns === undefined || patterns.some((pattern) => pattern.test(path)))
}

function patternOf(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
}

/** `/v1/key/list/a` of `/v1/key/list/a?details=true`. */
export function pathOf(target: string): string {
  const end = target.indexOf('?')
  return end < 0 ? target : target.slice(0, end)
}
