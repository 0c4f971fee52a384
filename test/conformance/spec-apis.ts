/** The APIs of the last KES, as section 5 of its protocol has them: what this table says of `/v1/api` and of methods. */
export interface SpecApi {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  /** With a slash at the end: takes an argument. */
  readonly path: string
  readonly maxBody: number
  readonly timeoutSeconds: number
}

function api(method: SpecApi['method'], path: string, maxBody = 0, timeoutSeconds = 15): SpecApi {
  return { method, path, maxBody, timeoutSeconds }
}

const BODY_BYTES_MAX = 1_000_000

export const SPEC_APIS: readonly SpecApi[] = [
  api('GET', '/version', 0, 10),
  api('GET', '/v1/ready'),
  api('GET', '/v1/status'),
  api('GET', '/v1/metrics'),
  api('GET', '/v1/api', 0, 10),
  api('PUT', '/v1/key/create/'),
  api('PUT', '/v1/key/import/', BODY_BYTES_MAX),
  api('GET', '/v1/key/describe/'),
  api('DELETE', '/v1/key/delete/'),
  api('GET', '/v1/key/list/'),
  api('PUT', '/v1/key/generate/', BODY_BYTES_MAX),
  api('PUT', '/v1/key/encrypt/', BODY_BYTES_MAX),
  api('PUT', '/v1/key/decrypt/', BODY_BYTES_MAX),
  api('PUT', '/v1/key/hmac/', BODY_BYTES_MAX),
  api('GET', '/v1/policy/describe/'),
  api('GET', '/v1/policy/read/'),
  api('GET', '/v1/policy/list/'),
  api('GET', '/v1/identity/describe/'),
  api('GET', '/v1/identity/list/'),
  api('GET', '/v1/identity/self/describe'),
  api('GET', '/v1/log/error', 0, 0),
  api('GET', '/v1/log/audit', 0, 0),
]

/** A path of the API that is complete. */
export function pathTo({ path }: SpecApi, argument = 'any-name'): string {
  return path.endsWith('/') ? path + argument : path
}
