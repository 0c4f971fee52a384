/** What a browser on the console's page does: logs in with an API key, and sends requests with the session's token. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface Page {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly text: string
  /** The text, as JSON. */
  readonly json: { readonly [name: string]: unknown; readonly message?: string; readonly code?: string }
}

export interface BrowserRequest {
  readonly headers?: OutgoingHttpHeaders
  /** An object is sent as JSON. */
  readonly body?: object | Buffer | string
  /** Default: the one of the last login. */
  readonly token?: string | undefined
}

export interface LoginParts {
  readonly nonce?: string
  readonly origin?: string
  readonly publicKey?: string
  readonly signature?: string
}

/** Browsers keep connections. */
const agent = new Agent({ keepAlive: true })

export class Browser {
  readonly #url: URL
  token: string | undefined

  /** @param url - of the console. */
  constructor(url: string) {
    this.#url = new URL(url)
  }

  get origin(): string {
    return this.#url.origin
  }

  /** Sends the headers that a browser would send for a page of the console itself. */
  async open(method: string, path: string, options: BrowserRequest = {}): Promise<IncomingMessage> {
    const { token = this.token, body, headers } = options
    const sent = request({
      host: this.#url.hostname,
      port: this.#url.port,
      method,
      path,
      agent,
      headers: {
        host: this.#url.host,
        ...(method === 'GET' || method === 'HEAD' ? {} : { origin: this.origin }),
        'sec-fetch-site': 'same-origin',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    })
    sent.end(typeof body === 'object' && !Buffer.isBuffer(body) ? JSON.stringify(body) : body)
    const [response] = await once(sent, 'response')
    return response
  }

  async send(method: string, path: string, options: BrowserRequest = {}): Promise<Page> {
    const response = await this.open(method, path, options)
    const body = await buffer(response)
    const text = body.toString()
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body,
      text,
      get json() {
        return JSON.parse(text)
      },
    }
  }

  async nonce(): Promise<string> {
    const { json } = await this.send('POST', '/console/nonce')
    return String(json.nonce)
  }

  /** @param parts - in place of what an honest page sends. */
  async tryLogin(privateKey: KeyObject, publicKey: KeyObject, parts: LoginParts = {}): Promise<Page> {
    const nonce = parts.nonce ?? (await this.nonce())
    const message = `latchkey console login v1\n${parts.origin ?? this.origin}\n${nonce}\n`
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    return this.send('POST', '/console/login', {
      body: {
        nonce,
        public_key: parts.publicKey ?? raw.toString('base64'),
        signature: parts.signature ?? sign(null, Buffer.from(message), privateKey).toString('base64'),
      },
    })
  }

  /** @throws if it is refused. */
  async login({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }): Promise<this> {
    const page = await this.tryLogin(privateKey, publicKey)
    if (page.status !== 200) throw new Error(`the login was refused: ${page.text}`)
    this.token = String(page.json.token)
    return this
  }
}

export function strangerKeys(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync('ed25519')
}
