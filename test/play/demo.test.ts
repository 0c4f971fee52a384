/** `npm run demo`: it ends well, it tells a script what it found, and a node that lies does not get away with it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { makeCertificates } from '../../certs/make-certs.ts'
import type { StepResult } from '../../packages/play/src/demo/step.ts'
import { playStory } from '../../packages/play/src/demo/story.ts'
import { KES } from '../../packages/play/src/sandbox/programs.ts'
import { startSandbox } from '../../packages/play/src/sandbox/sandbox.ts'
import { type Exchange, type Lie, type Reply, startLyingNode } from './lying-node.ts'
import { ROOT } from './start-process.ts'

const DEMO = join(ROOT, 'packages/play/src/demo.ts')
const STEPS = ['start', 'keys', 'store', 'drive', 'disable', 'enable', 'erase', 'receipt']

/** What a demo makes, it makes here. */
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-play-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function spawnDemo(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: folder, SHELL: '/bin/sh', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([stdout, stderr, [code]]) => ({ stdout, stderr, code: code as number | null }),
  )
  return { child, ended }
}

test('every step goes as it should, and a script reads which did, how long each took, and what was claimed', async () => {
  const { stdout, stderr, code } = await spawnDemo(process.execPath, [DEMO, '--json']).ended
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  const document = JSON.parse(stdout)
  expect(document).toMatchObject({ ok: true, total_ms: expect.any(Number) })
  expect(document.steps.map(({ id }: StepResult) => id)).toEqual(STEPS)
  for (const step of document.steps) {
    expect(step).toMatchObject({ ok: true, title: expect.any(String), proves: expect.any(String) })
    expect(step.ms).toBeGreaterThan(0)
    for (const claim of step.claims) expect(claim).toEqual({ claim: expect.any(String), holds: true })
  }
  const claims = document.steps.flatMap((step: StepResult) => step.claims.map(({ claim }) => claim))
  expect(claims).toEqual(
    expect.arrayContaining([
      'note.txt is stored: AES256',
      'diary.txt is stored: SSE-C AES256',
      'there is the object key (OEK), sealed',
      'invoice.txt is refused: 403 kms:NotAuthorized, locked',
      'invoice.txt is gone for good: 404 kms:KeyNotFound, erased',
      'the receipt is proven',
      'the forged receipt is refused',
    ]),
  )
  expect(await readdir(folder)).toEqual([])
})

test('a person reads it in colours on a terminal, and without them elsewhere and where NO_COLOR is set', async () => {
  const onTerminal = ['-qefc', `exec '${process.execPath}' '${DEMO}'`, '/dev/null']
  const runs = [
    spawnDemo('/usr/bin/script', onTerminal, { TERM: 'xterm' }),
    spawnDemo('/usr/bin/script', onTerminal, { TERM: 'xterm', NO_COLOR: '1' }),
    spawnDemo(process.execPath, [DEMO]),
  ]
  const [colours, none, piped] = await Promise.all(runs.map(({ ended }) => ended))
  for (const run of [colours, none, piped]) {
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining('8 steps') })
  }
  expect(colours?.stdout).toContain('\u001b[')
  expect(none?.stdout).not.toContain('\u001b[')
  expect(piped?.stdout).not.toContain('\u001b[')
  for (const line of piped?.stdout.split('\n') ?? []) {
    if (!line.includes('The key "invoices" was erased') && !line.includes('insufficient permissions')) {
      expect(line.length, line).toBeLessThanOrEqual(132)
    }
  }
})

test('stopped in the middle it leaves nothing, and does not say that all went well', async () => {
  const { child, ended } = spawnDemo(process.execPath, [DEMO])
  await vi.waitUntil(() => readdir(folder).then((names) => names.length > 0), { timeout: 20_000 })
  child.kill('SIGTERM')
  const { code, stdout } = await ended
  expect(code).toBe(130)
  expect(stdout).not.toContain('all hold')
  expect(await readdir(folder)).toEqual([])
})

test('a demo that can not begin ends with exit code 1', async () => {
  const { code, stderr } = await spawnDemo(process.execPath, [DEMO, '--json'], {
    TMPDIR: join(folder, 'missing'),
  }).ended
  expect(code).toBe(1)
  expect(stderr).toMatch(/^Error: .*no such file or directory/)
})

test('a step that does not go as it should ends the demo with exit code 1, and is told with what was found', async () => {
  // Loaded into the demo: what it starts to verify the receipt proves everything.
  const fault = join(folder, 'fault.mjs')
  await writeFile(
    fault,
    `import childProcess from 'node:child_process'
    import { syncBuiltinESMExports } from 'node:module'
    const { execFile } = childProcess
    childProcess.execFile = (file, args, ...rest) => {
      const proof = ['-e', "console.log('The key \\"invoices\\" was erased')"]
      return execFile(file, args.includes('receipt') ? proof : args, ...rest)
    }
    syncBuiltinESMExports()`,
  )
  const [asText, asJson] = await Promise.all(
    [[], ['--json']].map((args) => spawnDemo(process.execPath, ['--import', fault, DEMO, ...args]).ended),
  )
  expect(asText?.code).toBe(1)
  expect(asText?.stdout).toContain('FAILED')
  expect(asText?.stdout).toContain('✗ the forged receipt is refused\n       found: 0\n')
  expect(asText?.stdout).toContain('did not go as it should')
  expect(asJson?.code).toBe(1)
  const { ok, steps } = JSON.parse(asJson?.stdout ?? '')
  expect(ok).toBe(false)
  expect(steps.filter((step: StepResult) => !step.ok)).toMatchObject([
    {
      id: 'receipt',
      claims: expect.arrayContaining([{ claim: 'the forged receipt is refused', holds: false, found: '0' }]),
    },
  ])
  expect(await readdir(folder)).toEqual(['fault.mjs'])
})

/** Plays the story with a storage node that lies, or another program for `kes`. */
async function playWith({ lie = honest, kes = KES }: { lie?: Lie; kes?: string }): Promise<StepResult[]> {
  const certificates = join(folder, 'certs')
  await using sandbox = await startSandbox({
    folder: join(folder, 'sandbox'),
    certificates,
    host: '127.0.0.1',
    ports: {},
    onLockedKey: () => {},
    signal: new AbortController().signal,
  })
  await using node = await startLyingNode(sandbox.facts.node, await makeCertificates(certificates), lie)
  const stop = async () => await sandbox[Symbol.asyncDispose]()
  const facts = { ...sandbox.facts, node: node.url }
  return await playStory({ ...sandbox, facts, kes, stop }, () => {})
}

const honest: Lie = ({ reply }) => reply

/** Answers reads of the invoice that are refused with what `tell` makes of the last one that was not. */
function remembering(
  statuses: readonly number[],
  tell: (content: Reply) => Reply = (content) => content,
): Lie {
  let last: Reply | undefined
  return ({ method, target, reply }) => {
    if (method !== 'GET' || !target.startsWith('/demo/invoice.txt')) return reply
    if (reply.status === 200) last = reply
    return statuses.includes(reply.status) && last !== undefined ? tell(last) : reply
  }
}

/** From the first refused read of the invoice on. */
function onceLocked(lie: Lie): Lie {
  let isLocked = false
  return (exchange) => {
    isLocked ||= exchange.reply.status === 403
    return isLocked ? lie(exchange) : exchange.reply
  }
}

const isInvoice = ({ target }: Exchange) => target.startsWith('/demo/invoice.txt')
const failed = (reply: Reply): Reply => ({ ...reply, status: 500, body: Buffer.alloc(0), headers: {} })

const LIES: readonly (readonly [what: string, step: string, claim: RegExp, make: () => Lie])[] = [
  ['reads on under a locked key', 'disable', /is refused/, () => remembering([403])],
  [
    'tells another reason',
    'disable',
    /is refused/,
    () =>
      ({ reply }) => ({
        ...reply,
        body: Buffer.from(reply.body.toString().replace('is locked', 'is somewhere')),
      }),
  ],
  [
    'writes on under a locked key',
    'disable',
    /nothing new is written/,
    () => (exchange) =>
      exchange.method === 'PUT' && exchange.reply.status === 403
        ? { status: 200, headers: {}, body: Buffer.alloc(0) }
        : exchange.reply,
  ],
  [
    'can not list while a key is locked',
    'disable',
    /the step runs/,
    () => onceLocked(({ target, reply }) => (target.includes('list-type') ? failed(reply) : reply)),
  ],
  [
    'can not tell the size of a locked object',
    'disable',
    /the step runs/,
    () =>
      onceLocked((exchange) =>
        exchange.method === 'HEAD' && isInvoice(exchange) ? failed(exchange.reply) : exchange.reply,
      ),
  ],
  [
    'reads other bytes after the resume',
    'enable',
    /reads, with its SHA-256/,
    () =>
      onceLocked((exchange) => {
        const { reply } = exchange
        if (exchange.method !== 'GET' || !isInvoice(exchange) || reply.status !== 200) return reply
        const headers = { 'content-type': reply.headers['content-type'] } // No checksum that would tell.
        return { status: 200, headers, body: Buffer.from(reply.body.map((byte) => byte ^ 1)) }
      }),
  ],
  ['reads on under an erased key', 'erase', /is gone for good/, () => remembering([404])],
]

test.each(LIES)(
  'a node that %s fails at the step "%s", and the story ends there',
  async (_, id, claim, make) => {
    const steps = await playWith({ lie: make() })
    const last = steps.at(-1)
    expect(last).toMatchObject({ id, ok: false })
    expect(last?.claims.at(-1)).toMatchObject({ claim: expect.stringMatching(claim), holds: false })
    expect(steps.slice(0, -1).every(({ ok }) => ok)).toBe(true)
  },
)

test('a node that leaves the text on the drive fails at the step "drive"', async () => {
  const steps = await playWith({
    lie({ method, body, reply }) {
      if (method === 'PUT' && body.includes('Dear Ada'))
        writeFileSync(join(folder, 'sandbox/node/swap'), body)
      return reply
    },
  })
  expect(steps.at(-1)).toMatchObject({ id: 'drive', ok: false })
  expect(steps.at(-1)?.claims.at(-1)).toMatchObject({ found: expect.stringContaining('node/swap') })
})

test.each([
  [
    'proves whatever it is shown',
    'console.log(\'The key "invoices" was erased\')',
    /the forged receipt is refused/,
  ],
  ['proves nothing', 'process.exit(1)', /the receipt is proven/],
])('a verifier that %s fails at the step "receipt"', async (_, program, claim) => {
  const kes = join(folder, 'kes.mjs')
  await writeFile(kes, program)
  const steps = await playWith({ kes })
  expect(steps.at(-1)).toMatchObject({ id: 'receipt', ok: false })
  expect(steps.at(-1)?.claims.at(-1)).toMatchObject({ claim: expect.stringMatching(claim), holds: false })
})
