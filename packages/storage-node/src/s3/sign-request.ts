/**
 * Signature version 4, made: for the node's own commands, which are S3 clients like any other.
 *
 * @see `signature-v4.ts` for the other side.
 */
import { createHash, createHmac } from 'node:crypto'
import { decodeQuery, decodeUri, encodeUri } from './uri.ts'

export interface SigningCredentials {
  readonly accessKey: string
  readonly secretKey: string
}

export interface RequestToSign {
  readonly method: string
  /** As it will be sent: `/bucket/key?query`, percent-encoded. */
  readonly target: string
  readonly host: string
  /** By lower-case name. All of them are signed. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Signed in place of the body's digest: `UNSIGNED-PAYLOAD`. */
  readonly payload?: string
  /** Milliseconds since 1970. */
  readonly now: number
  readonly region?: string
}

/** @returns the headers with the signature and what it needs. */
export function signRequest(
  { accessKey, secretKey }: SigningCredentials,
  { method, target, host, headers, body, payload = sha256(body), now, region = 'us-east-1' }: RequestToSign,
): Record<string, string> {
  const stamp = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const signed: Record<string, string> = {
    ...headers,
    host,
    'x-amz-content-sha256': payload,
    'x-amz-date': stamp,
  }
  const names = Object.keys(signed).sort()
  const at = target.indexOf('?')
  const path = decodeUri(at < 0 ? target : target.slice(0, at)) ?? ''
  const query = decodeQuery(at < 0 ? '' : target.slice(at + 1)) ?? []
  const canonical = [
    method,
    encodeUri(path, { keepSlash: true }),
    query
      .map(([name, value]) => `${encodeUri(name, PART)}=${encodeUri(value, PART)}`)
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${signed[name]?.trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    payload,
  ].join('\n')
  const scope = [stamp.slice(0, 8), region, 's3', 'aws4_request']
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope.join('/'), sha256(canonical)].join('\n')
  const key = scope.reduce((before, step) => hmac(before, step), Buffer.from(`AWS4${secretKey}`))
  const signature = hmac(key, toSign).toString('hex')
  return {
    ...signed,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  }
}

const PART = { keepSlash: false } as const

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer<ArrayBuffer> {
  return Buffer.from(createHmac('sha256', key).update(text).digest())
}
