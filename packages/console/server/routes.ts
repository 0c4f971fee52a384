/** The console's own calls, in one table. */
import { readTexts } from './body.ts'
import { refusal } from './errors.ts'
import { type Answer, type Exchange, sessionOf } from './exchange.ts'
import type { KeyServer } from './key-server.ts'
import { identityOfSigner, loginMessage } from './login.ts'
import type { NodeClient } from './node/node-client.ts'
import { NODE_ROUTES } from './node/node-routes.ts'
import { NONCE_SECONDS, type Nonces } from './nonces.ts'
import { IDLE_SECONDS, type Sessions } from './sessions.ts'

export interface Services {
  readonly origin: URL
  readonly keyServer: KeyServer
  readonly isSandbox: boolean
  /** Undefined if the console has none. */
  readonly node: NodeClient | undefined
  readonly nonces: Nonces
  readonly sessions: Sessions
}

export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  /** Ends in `/` if an argument follows. */
  readonly path: string
  readonly access: 'anybody' | 'session' | 'admin'
  readonly isAudited?: false
  readonly run: (services: Services, exchange: Exchange) => Answer | Promise<Answer>
}

export const ROUTES: readonly Route[] = [
  { method: 'POST', path: '/console/nonce', access: 'anybody', isAudited: false, run: issueNonce },
  { method: 'POST', path: '/console/login', access: 'anybody', run: logIn },
  { method: 'POST', path: '/console/logout', access: 'session', run: logOut },
  { method: 'GET', path: '/console/info', access: 'session', run: describeServer },
  { method: 'POST', path: '/console/policy/explain', access: 'session', run: explainPolicy },
  ...NODE_ROUTES,
]

function issueNonce({ nonces }: Services): Answer {
  return { json: { nonce: nonces.issue(), expires_in: NONCE_SECONDS }, audit: 'nonce issued' }
}

async function logIn({ origin, keyServer, nonces, sessions }: Services, exchange: Exchange): Promise<Answer> {
  const fields = await readTexts(exchange.request, ['nonce', 'public_key', 'signature'])
  const { nonce } = fields
  if (!nonces.isOpen(nonce)) throw refusal('LoginRefused')
  const message = loginMessage(origin.origin, nonce)
  const identity = identityOfSigner(message, fields.public_key, fields.signature)
  exchange.identity = identity
  const membership = identity && keyServer.membershipOf(identity)
  if (identity === undefined || !membership) throw refusal('LoginRefused')
  if (!nonces.use(nonce)) throw refusal('Busy')
  return {
    json: {
      token: sessions.open(identity),
      identity,
      admin: membership.isAdmin,
      policy: membership.policy ?? null,
      expires_in: IDLE_SECONDS,
    },
    audit: 'logged in to the console',
  }
}

function logOut({ sessions }: Services, exchange: Exchange): Answer {
  sessions.close(sessionOf(exchange), exchange.response)
  return { json: {}, audit: 'logged out of the console' }
}

function describeServer({ keyServer, isSandbox, node }: Services, exchange: Exchange): Answer {
  const { identity } = sessionOf(exchange)
  const membership = keyServer.membershipOf(identity)
  return {
    json: {
      ...keyServer.info(),
      identity,
      admin: membership?.isAdmin ?? false,
      policy: membership?.policy ?? null,
      node: node === undefined ? null : { endpoint: node.endpoint },
      sandbox: isSandbox,
    },
    audit: 'console information read',
  }
}

async function explainPolicy({ keyServer }: Services, exchange: Exchange): Promise<Answer> {
  const { identity } = sessionOf(exchange)
  const question = await readTexts(exchange.request, ['identity', 'method', 'path'])
  const verdict = keyServer.explain({ identity, ip: exchange.ip }, question)
  if (verdict === undefined) throw refusal('NotAllowed')
  return { json: verdict, audit: 'policy explained' }
}
