/** Why a server does not start, or will soon be in trouble: all that its config file names, on this machine. */
import type { X509Certificate } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { assertAuditWritable } from '../../audit/audit-files.ts'
import { type Address, formatAddress } from '../../config/address.ts'
import type { Config, ConsoleConfig } from '../../config/config.ts'
import { loadConfigFile, type ParsedConfig } from '../../config/load-config.ts'
import { ConfigError, formatProblem } from '../../config/problem.ts'
import { findUnsupportedStore } from '../../config/supported-stores.ts'
import { loadConsole } from '../../console/load-console.ts'
import { nearestFolder } from '../../disk/nearest-folder.ts'
import {
  type DiskKeystore,
  holderOf,
  inspectStore,
  placeOf,
  problemOfSecret,
  type StorePlace,
} from '../../inspect-store.ts'
import { messageOf } from '../../message-of.ts'
import { listenerSettingsOf } from '../../running-config.ts'
import type { StoreHolder } from '../../store/store-lock.ts'
import { isIssuedBy } from '../../tls/client-trust.ts'
import { CredentialsError } from '../../tls/credentials.ts'
import { assertUsable } from '../../tls/secure-context.ts'
import { certificatesIn } from '../file.ts'
import { formatUtcTime } from '../format.ts'
import { shellWord } from '../shell-word.ts'
import {
  type Authorities,
  checkExpiry,
  describeChainProblem,
  explainChain,
  hasPurpose,
  isFor,
  nameOf,
  namesIn,
  readAuthorities,
  showKeys,
} from './certificate-checks.ts'
import { checkSpace, type Space, spaceOf } from './disk-checks.ts'
import { type Finding, Findings, type Remedy } from './findings.ts'
import { findListener, tryToListen } from './listeners.ts'

const OTHERS_ANY = 0o007
const GROUP_WRITE = 0o020
const ANY_HOST = ['', '0.0.0.0', '::']
/** Two clocks of one cluster differ by less. */
const CLOCK_TOLERANCE_MS = 60_000

export interface ConfigQuestion {
  readonly file: string
  /** What the clients trust: the certificate must lead there. */
  readonly ca?: string | undefined
  readonly now: Date
  /** Default: what the disk says. */
  readonly spaceOf?: (folder: string) => Space
}

export async function examineConfig(question: ConfigQuestion): Promise<readonly Finding[]> {
  const findings = new Findings(question.file)
  const parsed = examineText(findings, question.file)
  if (parsed === undefined) return findings.all
  const { config } = parsed
  examineRights(findings, config)
  examineSecretFiles(findings, question.file, config)
  examineTls(findings, config, question)
  const holder = examineStore(findings, config, question)
  if (config.log.auditFile !== undefined) examineAuditFile(findings, config.log.auditFile.path)
  await examineAddress(findings, 'address', config.address, holder)
  if (config.console !== undefined) await examineConsole(findings, config.console, holder)
  examineDisks(findings, config, question.spaceOf ?? spaceOf)
  return findings.all
}

function examineText(findings: Findings, file: string): ParsedConfig | undefined {
  try {
    const parsed = loadConfigFile(file)
    for (const warning of parsed.warnings) findings.warn('config', formatProblem(file, warning))
    const unsupported = findUnsupportedStore(parsed)
    if (unsupported !== undefined) findings.problem('config', formatProblem(file, unsupported))
    if (parsed.warnings.length === 0 && unsupported === undefined)
      findings.ok('config', 'the file has no error')
    return parsed
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) {
      const text = formatProblem(file, problem)
      if (problem.severity === 'error') findings.problem('config', text)
      else findings.warn('config', text)
    }
    return undefined
  }
}

function examineRights(findings: Findings, { adminIsDisabled, policies }: Config): void {
  const idle = policies.filter(({ identities }) => identities.length === 0)
  for (const { name } of idle) {
    findings.warn('policy', `policy '${name}' has no identities: nobody may do what it allows`)
  }
  const identities = policies.reduce((sum, policy) => sum + policy.identities.length, 0)
  if (adminIsDisabled && identities === 0) {
    findings.problem('policy', 'there is no admin, and no policy has an identity: nobody may do anything', {
      advice: "make an identity, and name it as 'admin.identity' or in a policy",
      commands: ['kes identity new'],
    })
  } else {
    const admin = adminIsDisabled ? 'no admin' : 'an admin'
    findings.ok('policy', `there is ${admin}, and ${identities} identities in ${policies.length} policies`)
  }
}

function examineSecretFiles(findings: Findings, file: string, { tls, keystore, console }: Config): void {
  const unseal = keystore.type === 'sqlite' || keystore.type === 'fs' ? keystore.unseal : undefined
  const text = readFileSync(file, 'utf8')
  const passphrase = unseal?.type === 'passphrase' ? unseal.passphrase : undefined
  const written = [tls.password, passphrase, console?.node?.secretKey]
  const texts = written.map((secret) => secret?.reveal() ?? '')
  const isSecret = texts.some((secret) => secret !== '' && text.includes(secret))
  // A key file that is open to others is refused by the server, and so by what reads it below.
  const passphraseFile = unseal?.type === 'passphrase-file' ? unseal.path : undefined
  checkMode(findings, tls.keyFile, 'problem', 'the private key')
  checkMode(findings, passphraseFile, 'warn', 'the passphrase file')
  if (isSecret) checkMode(findings, file, 'problem', 'the config file, which has a password in it,')
}

function checkMode(
  findings: Findings,
  path: string | undefined,
  grade: 'problem' | 'warn',
  what: string,
): void {
  const fullMode = path === undefined ? undefined : modeOf(path)
  if (path === undefined || fullMode === undefined || process.platform === 'win32') return
  if ((fullMode & (OTHERS_ANY | GROUP_WRITE)) === 0) return
  const mode = (fullMode & 0o777).toString(8).padStart(4, '0')
  findings[grade]('files', `${what} '${path}' is open to other users (mode ${mode})`, {
    advice: 'let its owner, and at most its group, read it',
    commands: [`chmod o=,g-w ${shellWord(path)}`],
  })
}

/** Undefined for a file that can't be looked at: what reads it says why. */
function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode
  } catch {
    return undefined
  }
}

function examineTls(findings: Findings, config: Config, { ca, now }: ConfigQuestion): void {
  const { keyFile, certFile } = config.tls
  try {
    const settings = listenerSettingsOf(config)
    assertUsable(settings)
    const chain = certificatesIn(settings.credentials.certPem, certFile)
    examineChain(findings, chain, config, ca, now)
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error
    findings.problem('certificate', error.message, remedyOf(error, certFile, keyFile))
  }
}

function remedyOf({ fault, remedy }: CredentialsError, certFile: string, keyFile: string): Remedy {
  const advice = remedy ?? 'correct or renew the files of `tls`'
  if (fault === 'other certificate') {
    return { advice: `${advice}: these print the same key then`, commands: showKeys(certFile, keyFile) }
  }
  if (fault === 'PKCS #8') {
    const convert = `openssl pkey -in ${shellWord(keyFile)} -out ${shellWord(`${keyFile}.new`)}`
    return { advice, commands: [`${convert} -traditional -aes256`, convert] }
  }
  return { advice }
}

function examineChain(
  findings: Findings,
  chain: readonly X509Certificate[],
  { address, tls: { certFile } }: Config,
  ca: string | undefined,
  now: Date,
): void {
  const [leaf] = chain
  if (leaf === undefined) return
  findings.ok('certificate', `the private key is that of the certificate of '${nameOf(leaf.subject)}'`)
  if (!hasPurpose(leaf, 'serverAuth')) {
    const text = `the certificate '${certFile}' is not for servers: serverAuth is missing from its extended key usage`
    findings.problem('certificate', text, {
      advice: 'have one made that is for servers: clients refuse this one',
    })
  }
  for (const [index, next] of chain.slice(1).entries()) {
    const before = chain[index]
    if (before === undefined || isIssuedBy(before, next)) continue
    const text = `certificate ${index + 2} of '${certFile}', '${nameOf(next.subject)}', has not signed the one before it`
    findings.problem('chain', text, {
      advice: "put the server's own first, then the one that signed it, and so on",
    })
  }
  examineAuthority(findings, chain, ca)
  const { host } = address
  if (ANY_HOST.includes(host) || isFor(leaf, host)) {
    findings.ok('names', `clients can connect by ${namesIn(leaf)}`)
  } else {
    findings.warn(
      'names',
      `the certificate is not for ${host}, where the server listens, but for ${namesIn(leaf)}`,
      {
        advice: 'clients must connect by a name or address that it lists',
      },
    )
  }
  const renew = { advice: 'put a new one in its place: a running server takes it over by itself' }
  checkExpiry(findings, leaf, now, renew)
  const ended = chain.slice(1).find(({ validToDate }) => validToDate <= now)
  if (ended !== undefined) {
    findings.problem(
      'expiry',
      `the authority '${nameOf(ended.subject)}' has ended at ${ended.validToDate.toISOString()}`,
      renew,
    )
  }
}

function examineAuthority(
  findings: Findings,
  chain: readonly X509Certificate[],
  ca: string | undefined,
): void {
  const last = chain.at(-1)
  if (ca === undefined) {
    const text = `clients must trust '${nameOf(last?.issuer ?? '')}'; --ca FILE compares it with what they have`
    findings.ok('chain', text)
    return
  }
  let authorities: Authorities
  try {
    authorities = readAuthorities(ca)
  } catch (error) {
    findings.problem('ca', messageOf(error), {
      advice: 'name the PEM file, or folder of PEM files, that clients trust',
    })
    return
  }
  const problem = explainChain(chain, authorities.certificates)
  const isTrustedItself = authorities.certificates.some(({ raw }) => chain[0]?.raw.equals(raw))
  if (problem === undefined || isTrustedItself) {
    findings.ok('chain', `whoever trusts '${ca}' trusts the certificate`)
    return
  }
  findings.problem('chain', describeChainProblem(problem, authorities.where), {
    advice:
      "give clients the certificate of that authority, or the server a certificate of theirs; one in between belongs into tls.cert, behind the server's",
  })
}

function examineStore(
  findings: Findings,
  { keystore }: Config,
  { now }: ConfigQuestion,
): StoreHolder | undefined {
  if (keystore.type !== 'sqlite' && keystore.type !== 'fs') return undefined
  let place: StorePlace
  try {
    place = placeOf(keystore)
  } catch (error) {
    findings.problem('store', messageOf(error), {
      advice: 'let this user look into every folder on the way',
      commands: [`namei -l ${shellWord(keystore.path)}`],
    })
    return undefined
  }
  const { database, isMade } = place
  if (!isMade) {
    examineNewStore(findings, keystore, place)
    return undefined
  }
  examineOwner(findings, database)
  try {
    const holder = holderOf(database)
    if (holder !== undefined) {
      findings.ok(
        'store',
        `the store is in use by the server with pid ${holder.pid} on host '${holder.host}'`,
      )
    }
    examineContent(findings, keystore, place, now)
    return holder
  } catch (error) {
    findings.problem('store', messageOf(error), { advice: 'docs/backup.md says how a store is restored' })
    return undefined
  }
}

function examineNewStore(findings: Findings, keystore: DiskKeystore, place: StorePlace): void {
  const { database } = place
  // Without one in the config, the key file of an `fs` store is made together with it.
  const problem = keystore.unseal === undefined ? undefined : problemOfSecret(keystore, place)
  if (problem !== undefined) findings.problem('seal', problem)
  const isWithoutFolder = keystore.type === 'fs' && !existsSync(keystore.path)
  if (isWithoutFolder && existsSync(database)) {
    findings.problem(
      'store',
      `the folder of keys '${keystore.path}' is gone, whose states are in '${database}'`,
      {
        advice: 'mount it, or restore it: a server that is started without it finds none of its keys',
      },
    )
    return
  }
  const folders = [database, ...(isWithoutFolder ? [keystore.path] : [])].map((path) =>
    nearestFolder(dirname(path)),
  )
  const closed = folders.find((folder) => !isWritable(folder))
  if (closed === undefined) {
    const missing = isWithoutFolder
      ? `there is no folder of keys at '${keystore.path}'`
      : `there is no store at '${database}'`
    findings.warn('store', `${missing}: the first start makes one`, {
      advice: 'if there should be one, correct its path: relative ones begin at the working directory',
    })
  } else {
    findings.problem(
      'store',
      `the store '${database}' can not be made: '${closed}' is not writable for this user`,
      {
        advice: "let the server's user own the folder",
        commands: [`ls -ld ${shellWord(closed)}`],
      },
    )
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

function examineOwner(findings: Findings, database: string): void {
  const user = process.getuid?.()
  const { uid } = statSync(database)
  if (user === undefined || user === uid) return
  if (user === 0) {
    const text = `this runs as root, who may do everything; the store's owner is user ${uid}`
    findings.warn('user', text, {
      advice: "ask again as the server's user, whose permissions matter",
      commands: [
        `setpriv --reuid=${uid} --regid=${statSync(database).gid} --clear-groups kes doctor --config …`,
      ],
    })
  } else findings.warn('user', `the store belongs to user ${uid}, and this is user ${user}`)
}

function examineContent(findings: Findings, keystore: DiskKeystore, place: StorePlace, now: Date): void {
  const content = inspectStore(keystore, place)
  if (content === undefined) {
    findings.warn(
      'store',
      'an older version has made the store: the next start brings it up to date, for good',
      {
        advice: 'make a backup with the older version before',
        commands: ['kes backup create --recipient age1… FILE'],
      },
    )
    return
  }
  const { counts, lastChangeAt, sealProblem, warnings } = content
  for (const warning of warnings) findings.warn('store', warning)
  if (sealProblem === undefined) findings.ok('seal', 'the store opens with the secret that the config names')
  else {
    findings.problem('seal', sealProblem, {
      advice: 'name the secret that the store was made with, or one that was added since: docs/seal-slots.md',
    })
  }
  const states = `${counts.enabled} enabled, ${counts.disabled} disabled, ${counts.pending} pending deletion`
  findings.ok('store', `the store has its keys: ${states}`)
  if (counts.erasing > 0) {
    findings.warn('store', `erased keys that are not off the disk yet: ${counts.erasing}`, {
      advice: 'the server goes on with it; docs/erasure.md says what holds it up',
    })
  }
  const last = lastChangeAt === undefined ? undefined : new Date(lastChangeAt)
  if (last === undefined || Number.isNaN(last.getTime())) return
  if (last.getTime() - now.getTime() > CLOCK_TOLERANCE_MS) {
    const text = `it is ${formatUtcTime(now.toISOString())} here, but the last change of a key was at ${formatUtcTime(last.toISOString())}`
    findings.problem('clock', text, {
      advice: 'set the clock',
      commands: ['timedatectl status', 'date --utc'],
    })
  } else findings.ok('clock', 'the clock is not behind the last change of a key')
}

/** @param path - as in the config. */
function examineAuditFile(findings: Findings, path: string): void {
  try {
    assertAuditWritable(path)
    findings.ok('audit', `the audit file '${path}' can be written`)
  } catch (error) {
    findings.problem('audit', `the audit file '${path}' can not be written: ${messageOf(error)}`, {
      advice: "let the server's user own its folder, and the files in it",
      commands: [`ls -la ${shellWord(nearestFolder(dirname(path)))}`],
    })
  }
}

async function examineConsole(
  findings: Findings,
  { address }: ConsoleConfig,
  holder: StoreHolder | undefined,
): Promise<void> {
  try {
    await loadConsole()
    findings.ok('console', 'the package of the console is installed')
  } catch (error) {
    findings.problem('console', messageOf(error))
  }
  await examineAddress(findings, 'console.address', address, holder)
}

/** @param field - of the config, that has the address. */
async function examineAddress(
  findings: Findings,
  field: string,
  address: Address,
  holder: StoreHolder | undefined,
): Promise<void> {
  const { port } = address
  const where = formatAddress(address)
  if (port === 0) {
    findings.ok('address', 'the system chooses a free port')
    return
  }
  const code = await tryToListen(address)
  const listener = findListener(port)
  const who = listener === undefined ? 'another process' : `'${listener.program}', pid ${listener.pid}`
  if (code === undefined && holder === undefined) findings.ok('address', `${where} is free`)
  else if (code === undefined) {
    findings.warn('address', `the server with pid ${holder?.pid} does not listen on ${where}`, {
      advice: "it was started with another address, or before the config's was changed",
    })
  } else if (code === 'EADDRINUSE' && holder !== undefined && holder.pid === listener?.pid) {
    findings.ok('address', `the server with pid ${holder.pid} listens on ${where}`)
  } else if (code === 'EADDRINUSE') {
    findings.problem('address', `${where} is in use by ${who}`, {
      advice: `end it, or choose another '${field}'`,
      commands: [`ss --listening --tcp --numeric --processes 'sport = :${port}'`],
    })
  } else {
    const reasons: Record<string, string> = {
      EACCES: 'this user may not listen on that port: choose one above 1023',
      EADDRNOTAVAIL: 'no interface of this machine has that address',
    }
    findings.problem('address', `the server can not listen on ${where}: ${reasons[code] ?? code}`, {
      advice: `correct '${field}'`,
      commands: ['ip address'],
    })
  }
}

function examineDisks(findings: Findings, { keystore, log }: Config, ask: (folder: string) => Space): void {
  const places: [what: string, path: string][] = []
  if (keystore.type === 'sqlite' || keystore.type === 'fs') places.push(['the store', keystore.path])
  if (log.auditFile !== undefined) places.push(['the audit file', log.auditFile.path])
  for (const [what, path] of places) {
    const folder = nearestFolder(dirname(path))
    checkSpace(findings, what, folder, ask(folder))
  }
}
