/** Whom the load is for, and as whom it comes. Plain values: they go to another process. */

/** As ALPN names them. */
export type HttpProtocol = 'h2' | 'http/1.1'

export const HTTP_PROTOCOLS: readonly HttpProtocol[] = ['h2', 'http/1.1']

/** Paths of PEM files. */
export interface ClientFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface LoadTarget extends ClientFiles {
  readonly host: string
  readonly port: number
  /** Path of the PEM file that signs the server's certificate. */
  readonly caFile: string
}
