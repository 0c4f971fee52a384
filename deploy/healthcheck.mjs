// The health check of the container: asks its own server whether it is ready. Exit code 0 if so, 1 if not.
//
// It has no client certificate, so the server's config must leave `/v1/ready` open: `api: {/v1/ready: {skip_auth: true}}`.
import { get } from 'node:https'

const TIMEOUT_MS = 2_000
const url = `https://127.0.0.1:${process.env.LATCHKEY_PORT ?? 7373}/v1/ready`

/** @param {string} reason */
function fail(reason) {
  console.error(reason)
  process.exit(1)
}

// Nothing secret is sent, and the certificate need not be for this address: it is not verified.
const request = get(url, { rejectUnauthorized: false, timeout: TIMEOUT_MS }, (reply) => {
  if (reply.statusCode === 200) process.exit(0)
  const advice = reply.statusCode === 400 ? ": the config must have 'skip_auth' for /v1/ready" : ''
  fail(`${url} answers ${reply.statusCode}${advice}`)
})
request.on('timeout', () => fail(`${url} has not answered within ${TIMEOUT_MS} ms`))
request.on('error', ({ message }) =>
  fail(`${url}: ${message}: the server is down, or no API of its config has 'skip_auth', for /v1/ready`),
)
