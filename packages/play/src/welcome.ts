/** What `npm start` says once everything serves: to a person, and to a program. */
import { relative } from 'node:path'
import { styleText } from 'node:util'
import { quote } from './sandbox/client-files.ts'
import type { S3Clients } from './sandbox/s3-clients.ts'
import { type Sandbox, type SandboxFacts, USUAL_PORTS } from './sandbox/sandbox.ts'

export interface WelcomeOptions {
  readonly clients: S3Clients
  /** Since the program began. */
  readonly readyMs: number
  /** Whether ports were the visitor's own choice, by the name of their option. */
  readonly chosenPorts: readonly string[]
  /** Of an earlier `npm start` that was a key server alone: its config. */
  readonly earlierConfig: string | undefined
}

const LABEL_COLUMNS = 14
const COMMAND_COLUMNS = 46

const WARNING = [
  'This is a sandbox. Never put anything into it that you can not lose or reveal: no real names,',
  'nothing of production.',
]

export function welcome({ facts, apiKey, secretKey }: Sandbox, options: WelcomeOptions): string {
  const { root } = facts
  const kept = (file: string) =>
    root.isNew ? dim(`shown this once; kept in ${shown(file)}`) : dim(`in ${shown(file)}`)
  const secret = (text: string, file: string) => (root.isNew ? [text, kept(file)] : [kept(file)])
  const blocks = [
    [bold(`The Latchkey sandbox is up.`) + dim(` ${timesOf(options.readyMs, facts)}`)],
    [
      field('Console', `${facts.console} ${dim('for a browser; it asks for your API key')}`),
      field('Key server', facts.keyServer),
      field('S3', facts.node),
      ...portRemarks(facts, options.chosenPorts),
    ],
    [
      'You are root at the key server, who may do everything:',
      field('Identity', root.identity),
      field('API key', ...secret(apiKey, root.apiKeyFile)),
      field('As files', `${shown(root.keyFile)}, ${shown(root.certificateFile)}`),
    ],
    [
      'The storage node is somebody else there, who may create keys, generate and decrypt:',
      field('Identity', facts.nodeIdentity),
      field(
        'Its key',
        `${facts.defaultKey} ${dim('for objects that name no other; locked, the node does not start')}`,
      ),
    ],
    [
      'You are the only user of S3:',
      field('Access key', facts.accessKey),
      field('Secret key', ...secret(secretKey, facts.secretKeyFile)),
    ],
    [
      ...WARNING.map((line) => styleText('yellow', line)),
      styleText('yellow', `Whoever can read ${shown(facts.folder)}/ has every key in it.`),
    ],
    ...(options.earlierConfig === undefined
      ? []
      : [
          [
            'The key server of an earlier version is as it was, with its keys and your API key for it:',
            `  npx kes server --config ${typed(options.earlierConfig)}`,
          ],
        ]),
    ['In another terminal, in this folder:'],
    ...tutorial(facts, options.clients).map((lines) => lines.flatMap(command)),
    [dim('Ctrl-C stops it. The next start finds everything as it was; npm start -- --reset begins anew.')],
  ]
  return `\n${blocks.map((lines) => lines.map((line) => `  ${line}\n`).join('')).join('\n')}\n`
}

type TutorialLine = readonly [command: string, remark?: string]

/** Commands to type, in groups; each works as it stands, after the ones before. */
function tutorial(facts: SandboxFacts, { hasAws, hasMc }: S3Clients): TutorialLine[][] {
  const mc = `mc --config-dir ${typed(`${facts.folder}/mc`)}`
  const curl = `curl -fK ${typed(facts.curlFile)}`
  const s3 = hasAws
    ? {
        make: 'aws s3 mb s3://demo',
        put: 'aws s3 cp README.md s3://demo/',
        putMine: 'aws s3 cp README.md s3://demo/mine.md --sse aws:kms --sse-kms-key-id my-key',
        get: 'aws s3 cp s3://demo/README.md -',
        getMine: 'aws s3 cp s3://demo/mine.md -',
      }
    : {
        make: `${curl} -X PUT ${facts.node}/demo`,
        put: `${curl} -T README.md ${facts.node}/demo/README.md`,
        putMine: `${curl} -T README.md -H 'x-amz-server-side-encryption: aws:kms' -H 'x-amz-server-side-encryption-aws-kms-key-id: my-key' ${facts.node}/demo/mine.md`,
        get: `${curl} ${facts.node}/demo/README.md`,
        getMine: `${curl} ${facts.node}/demo/mine.md`,
      }
  return [
    [[`. ${typed(facts.environmentFile)}`, 'who you are, and where everything listens']],
    [
      ['npx kes key create my-key', 'a key that never leaves the key server'],
      [s3.make],
      [
        hasMc ? `${mc} encrypt set sse-s3 sandbox/demo` : 'npx latchkey-node encrypt set sse-s3 demo',
        'from now on the bucket encrypts',
      ],
      [s3.put, `under ${facts.defaultKey}`],
      [s3.putMine, 'under your own key'],
    ],
    [
      ['npx kes key disable my-key', 'lock'],
      [s3.getMine, 'refused, from now on'],
      [s3.get, 'another key: works as before'],
    ],
    [
      ['npx kes key enable my-key', 'resume'],
      [s3.getMine, 'the same bytes again'],
    ],
  ]
}

/** A remark stands behind its command, or above it if that is long. */
function command([text, remark]: TutorialLine): string[] {
  if (remark === undefined) return [`  ${text}`]
  const painted = dim(`# ${remark}`)
  if (text.length > COMMAND_COLUMNS) return [`  ${painted}`, `  ${text}`]
  return [`  ${text.padEnd(COMMAND_COLUMNS)} ${painted}`]
}

/** One line of JSON, without a secret: the files have those. */
export function describe({ facts }: Sandbox, readyMs: number): string {
  const { root, timings } = facts
  return `${JSON.stringify({
    key_server: facts.keyServer,
    console: facts.console,
    s3: facts.node,
    pid: process.pid,
    pids: { key_server: facts.pids.keyServer, node: facts.pids.node },
    folder: facts.folder,
    env_file: facts.environmentFile,
    ca_file: facts.caFile,
    root_identity: root.identity,
    api_key_file: root.apiKeyFile,
    key_file: root.keyFile,
    certificate_file: root.certificateFile,
    node_identity: facts.nodeIdentity,
    default_key: facts.defaultKey,
    access_key: facts.accessKey,
    secret_key_file: facts.secretKeyFile,
    ready_ms: Math.round(readyMs),
    parts_ms: {
      files: Math.round(timings.files),
      key_server: Math.round(timings.keyServer),
      node: Math.round(timings.node),
    },
  })}\n`
}

/** The node's own key is locked since the last start. */
export function lockedKeyNotice(
  key: string,
  { environmentFile, console }: Pick<SandboxFacts, 'environmentFile' | 'console'>,
): string {
  return `
  The storage node waits: its own key, ${key}, is locked. Enable it in the console at ${console},
  or in another terminal:

    . ${typed(environmentFile)}
    npx kes key enable ${key}

`
}

function portRemarks({ keyServer, console, node }: SandboxFacts, chosen: readonly string[]): string[] {
  const ports = [
    { name: 'the key server', url: keyServer, usual: USUAL_PORTS.keyServer, option: 'port' },
    { name: 'the console', url: console, usual: USUAL_PORTS.console, option: 'console-port' },
    { name: 'S3', url: node, usual: USUAL_PORTS.node, option: 'node-port' },
  ]
  return ports.flatMap(({ name, url, usual, option }) => {
    const port = new URL(url).port
    if (port === String(usual) || chosen.includes(option)) return []
    return [`Port ${usual} is taken, so ${name} listens on ${port}.`]
  })
}

function timesOf(readyMs: number, { timings }: SandboxFacts): string {
  const parts = [
    `key server ${seconds(timings.keyServer)}`,
    `storage node ${seconds(timings.node)}`,
    `certificates and files ${seconds(timings.files)}`,
  ]
  return `Ready in ${seconds(readyMs)}: ${parts.join(', ')}.`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function field(label: string, ...texts: readonly string[]): string {
  return `  ${label.padEnd(LABEL_COLUMNS)}${texts.join('\n'.padEnd(LABEL_COLUMNS + 5))}`
}

/** A path as a word of a command. */
function typed(path: string): string {
  return quote(shown(path))
}

/** Paths as the reader would name them. */
function shown(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

function bold(text: string): string {
  return styleText('bold', text)
}

function dim(text: string): string {
  return styleText('dim', text)
}
