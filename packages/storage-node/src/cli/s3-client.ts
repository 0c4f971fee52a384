/** A client of a node, or of any MinIO, for the commands that talk to one. */
import { existsSync, readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Command } from 'commander'
import { signRequest } from '../s3/sign-request.ts'
import { CliError } from './outcome.ts'
import type { Io } from './program.ts'

const { request: httpRequest } = process.getBuiltinModule('node:http')

export interface ClientFlags {
  readonly endpoint?: string
  readonly ca?: string
}

/** The options of a command that asks a node. */
export function addNodeOptions(command: Command): Command {
  return command
    .option('--endpoint <url>', 'The node (default: $LATCHKEY_NODE, or http://127.0.0.1:9000)')
    .option('--ca <path>', "PEM file of the authority of the node's certificate (default: $LATCHKEY_NODE_CA)")
    .option('--json', 'Print the result as JSON')
    .addHelpText('after', '\nThe keys of the user come from MINIO_ROOT_USER and MINIO_ROOT_PASSWORD.')
}

/** As it is signed: with %20 for a space. */
export function encodeQuery(query: URLSearchParams): string {
  return query.toString().replaceAll('+', '%20')
}

export interface S3Answer {
  readonly status: number
  readonly body: string
}

const DEFAULT_ENDPOINT = 'http://127.0.0.1:9000'
const TIMEOUT_MS = 30_000

export class S3Client {
  readonly #url: URL
  readonly #ca: Buffer | undefined
  readonly #credentials: { readonly accessKey: string; readonly secretKey: string }

  /** @throws CliError */
  constructor({ endpoint, ca }: ClientFlags, { env }: Io) {
    const text = endpoint ?? env.LATCHKEY_NODE ?? DEFAULT_ENDPOINT
    if (!URL.canParse(text) || !/^https?:/.test(text)) throw new CliError(`'${text}' is no URL of a node`)
    this.#url = new URL(text)
    const caPath = ca ?? env.LATCHKEY_NODE_CA
    if (caPath !== undefined && !existsSync(caPath))
      throw new CliError(`the CA file '${caPath}' does not exist`)
    this.#ca = caPath === undefined ? undefined : readFileSync(caPath)
    this.#credentials = {
      accessKey: env.MINIO_ROOT_USER ?? env.AWS_ACCESS_KEY_ID ?? 'minioadmin',
      secretKey: env.MINIO_ROOT_PASSWORD ?? env.AWS_SECRET_ACCESS_KEY ?? 'minioadmin',
    }
  }

  /**
   * @param target - `/bucket?query`, percent-encoded.
   * @throws CliError for what the node refuses, or if it can't be reached.
   */
  async send(method: string, target: string, body = ''): Promise<S3Answer> {
    const bytes = Buffer.from(body)
    const { host, hostname, port, protocol } = this.#url
    const headers = signRequest(this.#credentials, {
      method,
      target,
      host,
      headers: {},
      body: bytes,
      now: Date.now(),
    })
    const answer = await exchange(
      protocol === 'https:' ? httpsRequest : httpRequest,
      {
        method,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: target,
        headers: { ...headers, 'content-length': bytes.length },
        timeout: TIMEOUT_MS,
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      },
      bytes,
    ).catch((error: Error) => {
      throw new CliError(`${this.#url.origin} can not be reached: ${error.message}`, [
        'The node is named with --endpoint or LATCHKEY_NODE, its CA with --ca or LATCHKEY_NODE_CA',
      ])
    })
    if (answer.status < 300) return answer
    const [, message = `the node answered ${answer.status}`] =
      /<Message>(.*?)<\/Message>/.exec(answer.body) ?? []
    throw new CliError(message.replaceAll('&#39;', "'").replaceAll('&#34;', '"').replaceAll('&amp;', '&'))
  }
}

function exchange(
  send: typeof httpRequest,
  options: RequestOptions & { readonly ca?: Buffer },
  body: Buffer,
): Promise<S3Answer> {
  return new Promise((resolve, reject) => {
    const request = send(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    })
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', reject)
    request.end(body)
  })
}
