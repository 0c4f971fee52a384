/** The running part of a harness: the real server, the gate before it, and what stands between the two. */
import { cutAnswer, throttleAnswer } from './answer.ts'
import type { ErrorOptions, FaultOptions } from './fault-options.ts'
import { type FaultInfo, FaultSet, type Plan } from './fault-set.ts'
import { Gate } from './gate.ts'
import type { ErasedNames, Exchange, KeyServer, KeyServerCredentials, KeyServerModule } from './key-server.ts'
import type { RequestFilter } from './matching.ts'
import { type RecordedRequest, RequestLog } from './request-log.ts'

const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** Plain JSON: it crosses processes. */
export interface CoreOptions {
  readonly adminIdentity: string
  readonly credentials: KeyServerCredentials
  readonly keys: readonly string[]
  readonly erasedNames: ErasedNames
  readonly seed: number
  /** Of 127.0.0.1; 0: any free one. */
  readonly port: number
}

/** All of it takes and gives plain JSON, so that it may stand in another process. */
export interface Core {
  /** Where clients connect. */
  readonly port: number
  /** The server's own, past gate and faults; what comes this way is not recorded. */
  readonly serverPort: number
  addFault(fault: FaultOptions): Promise<number>
  clearFault(id: number): Promise<void>
  clearFaults(): Promise<void>
  listFaults(): Promise<FaultInfo[]>
  listRequests(filter: RequestFilter): Promise<RecordedRequest[]>
  clearRequests(): Promise<void>
  /** Faults, requests and chance are as at the start. */
  restart(): Promise<void>
  replaceCredentials(credentials: KeyServerCredentials): Promise<void>
  stop(): Promise<void>
}

export class LocalCore implements Core {
  readonly port: number
  readonly serverPort: number
  readonly #server: KeyServer
  readonly #gate: Gate
  readonly #faults: FaultSet
  readonly #requests: RequestLog

  private constructor(server: KeyServer, gate: Gate, faults: FaultSet, requests: RequestLog) {
    this.#server = server
    this.#gate = gate
    this.#faults = faults
    this.#requests = requests
    this.port = gate.port
    this.serverPort = server.address.port
  }

  /** @throws what the server's start throws, such as for a malformed name of a key; nothing is left open then. */
  static async start(module: KeyServerModule, options: CoreOptions): Promise<LocalCore> {
    const { adminIdentity, credentials, keys, erasedNames, seed, port } = options
    const faults = new FaultSet(seed)
    const requests = new RequestLog()
    let gate: Gate | undefined
    const server = await module.startMemoryServer({
      adminIdentity,
      credentials,
      keys,
      erasedNames,
      intercept(exchange, proceed) {
        if (gate?.owns(exchange.socket.remotePort)) intercept(exchange, proceed, { gate, faults, requests })
        else proceed()
      },
    })
    try {
      gate = await Gate.open(server.address.port, port)
    } catch (error) {
      await server.stop()
      throw error
    }
    return new LocalCore(server, gate, faults, requests)
  }

  async addFault(fault: FaultOptions): Promise<number> {
    const id = this.#faults.add(fault)
    await this.#gate.setMode(this.#faults.connectionMode)
    return id
  }

  async clearFault(id: number): Promise<void> {
    this.#faults.clear(id)
    await this.#gate.setMode(this.#faults.connectionMode)
  }

  async clearFaults(): Promise<void> {
    this.#faults.clearAll()
    await this.#gate.setMode('open')
  }

  async listFaults(): Promise<FaultInfo[]> {
    return this.#faults.list()
  }

  async listRequests(filter: RequestFilter): Promise<RecordedRequest[]> {
    return this.#requests.list(filter)
  }

  async clearRequests(): Promise<void> {
    this.#requests.clear()
  }

  async restart(): Promise<void> {
    this.#faults.restart()
    this.#requests.clear()
    await this.#gate.setMode('open')
  }

  replaceCredentials(credentials: KeyServerCredentials): Promise<void> {
    return this.#server.replaceCredentials(credentials)
  }

  /** The gate first: without connections there is no request that the server would wait for. */
  async stop(): Promise<void> {
    await this.#gate.close()
    await this.#server.stop()
  }
}

interface Parts {
  readonly gate: Gate
  readonly faults: FaultSet
  readonly requests: RequestLog
}

function intercept(exchange: Exchange, proceed: () => void, { gate, faults, requests }: Parts): void {
  const request = requests.begin(exchange)
  const plan = faults.planFor(request.method, request.path)
  request.fault = plan.fault?.kind ?? (plan.delayMs > 0 ? 'latency' : null)
  if (plan.delayMs === 0) act(exchange, plan, proceed, gate)
  else {
    const timer = setTimeout(() => act(exchange, plan, proceed, gate), plan.delayMs)
    exchange.answer.once('close', () => clearTimeout(timer))
  }
}

function act(exchange: Exchange, { fault, cleared }: Plan, proceed: () => void, gate: Gate): void {
  const { remotePort } = exchange.socket
  switch (fault?.kind) {
    case undefined:
      proceed()
      break
    case 'hang':
      void cleared?.then(() => {
        if (!exchange.answer.destroyed) proceed()
      })
      break
    case 'error':
      answerError(exchange, fault)
      break
    case 'throttle':
      throttleAnswer(exchange, fault.bytesPerSecond)
      proceed()
      break
    case 'reset':
      if (fault.at === 'request') gate.resetNow(remotePort)
      else {
        cutAnswer(exchange, () => gate.resetSoon(remotePort))
        proceed()
      }
      break
  }
}

function answerError(exchange: Exchange, { status, body, headers }: ErrorOptions): void {
  const { response } = exchange
  const isText = typeof body === 'string'
  const content = body ?? { message: STATUS_CODES[status]?.toLowerCase() ?? `status ${status}` }
  const text = isText ? body : JSON.stringify(content)
  exchange.body.resume()
  response.writeHead(status, {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}
