/**
 * Logs in: signs the server's nonce and this page's origin with the seed of an API key.
 *
 * The origin is in what is signed, so that a page elsewhere that shows the server's nonce to the holder of a key gets a
 * signature that the server refuses. The seed's bytes are overwritten when WebCrypto has them, and never sent.
 */
import { type ApiError, errorOfReply, UnreachableError } from './api-error.ts'
import { parseApiKey } from './api-key.ts'

export interface LoggedIn {
  readonly token: string
  readonly identity: string
  readonly admin: boolean
  readonly policy: string | null
  /** Seconds without a request after which the session ends. */
  readonly expires_in: number
}

/** What this browser lacks for a login. */
export class BrowserError extends Error {
  override readonly name = 'BrowserError'
}

/** All of a PKCS #8 Ed25519 key but the seed, which is last (RFC 8410, section 7). */
const PKCS8_HEADER = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]

/** @throws InvalidApiKeyError, {@link BrowserError}, {@link ApiError}, {@link UnreachableError} */
export async function logIn(apiKey: string, origin: string): Promise<LoggedIn> {
  const keys = await keysOf(apiKey)
  const { nonce } = await post<{ nonce: string }>('/console/nonce', {})
  const message = new TextEncoder().encode(`latchkey console login v1\n${origin}\n${nonce}\n`)
  const signature = new Uint8Array(await crypto.subtle.sign('Ed25519', keys.privateKey, message))
  return await post<LoggedIn>('/console/login', {
    nonce,
    public_key: keys.publicKey,
    signature: btoa(String.fromCharCode(...signature)),
  })
}

interface Keys {
  readonly privateKey: CryptoKey
  /** Base64 of 32 bytes. */
  readonly publicKey: string
}

async function keysOf(apiKey: string): Promise<Keys> {
  if (!isSecureContext) {
    throw new BrowserError('Browsers sign only on pages of https:// or of this machine (localhost).')
  }
  const seed = parseApiKey(apiKey)
  const pkcs8 = Uint8Array.of(...PKCS8_HEADER, ...seed)
  try {
    // WebCrypto derives the public key nowhere else than in an export of the private one.
    const exportable = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign'])
    const { x = '' } = await crypto.subtle.exportKey('jwk', exportable)
    const privateKey = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign'])
    return { privateKey, publicKey: `${x.replaceAll('-', '+').replaceAll('_', '/')}=` }
  } catch (error) {
    const message = 'This browser can’t sign with Ed25519 keys. Current versions of all browsers can.'
    throw new BrowserError(message, { cause: error })
  } finally {
    seed.fill(0)
    pkcs8.fill(0)
  }
}

async function post<T>(path: string, body: object): Promise<T> {
  const headers = { 'content-type': 'application/json' }
  const reply = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }).catch(
    (error: unknown) => {
      throw new UnreachableError(error)
    },
  )
  if (!reply.ok) throw await errorOfReply(reply)
  return (await reply.json()) as T
}
