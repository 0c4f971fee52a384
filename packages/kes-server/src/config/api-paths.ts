/** The API paths that a config file may name: in `api`, and as patterns in `policy`. */

/** A path that ends in `/` takes an argument: a name, or the prefix of a listing. */
export const API_PATHS = [
  '/version',
  '/v1/ready',
  '/v1/status',
  '/v1/metrics',
  '/v1/metrics/latchkey',
  '/v1/api',
  '/v1/key/create/',
  '/v1/key/import/',
  '/v1/key/describe/',
  '/v1/key/delete/',
  '/v1/key/list/',
  '/v1/key/watch/',
  '/v1/key/history/',
  '/v1/key/generate/',
  '/v1/key/encrypt/',
  '/v1/key/decrypt/',
  '/v1/key/hmac/',
  '/v1/key/cancel-deletion/',
  '/v1/key/enable/',
  '/v1/key/disable/',
  '/v1/policy/describe/',
  '/v1/policy/read/',
  '/v1/policy/list/',
  '/v1/identity/describe/',
  '/v1/identity/list/',
  '/v1/identity/self/describe',
  '/v1/journal/head',
  '/v1/journal/entries',
  '/v1/seal/describe',
  '/v1/seal/add-slot',
  '/v1/seal/remove-slot/',
  '/v1/seal/change-passphrase',
  '/v1/seal/rotate-root',
  '/v1/backup/create',
  '/v1/backup/read/',
  '/v1/backup/drop/',
  '/v1/log/error',
  '/v1/log/audit',
] as const

export type ApiPath = (typeof API_PATHS)[number]

const KNOWN: ReadonlySet<string> = new Set(API_PATHS)

export function isApiPath(text: string): text is ApiPath {
  return KNOWN.has(text)
}
