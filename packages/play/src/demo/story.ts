/** The story of two keys: one locks, resumes and erases real data, and the other is there to be left alone. */
import { execFile } from 'node:child_process'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KesClient, KeyNameReservedError } from '@latchkey/kms-client'
import type { SandboxFacts } from '../sandbox/sandbox.ts'
import { filesThatHold, findObjectFile, hexRows } from './drive.ts'
import { Objects, objectOf, type Refusal, refusalOf, type StoredObject } from './objects.ts'
import { type Notes, runStep, type Step, type StepResult } from './step.ts'

/** Where the story takes place. */
export interface Stage {
  readonly facts: SandboxFacts
  readonly apiKey: string
  readonly secretKey: string
  /** The program of `kes`. */
  readonly kes: string
  /** Ends the servers. */
  readonly stop: () => Promise<void>
}

/** The key of the story, and the one beside it. */
const KEY = 'invoices'
const OTHER_KEY = 'letters'
const SECRET_LINE = 'Invoice 4711: twelve brass latches, payable within 30 days.\n'

const LOCKED: Refusal = {
  status: 403,
  code: 'kms:NotAuthorized',
  message: `insufficient permissions to perform KMS operation (key '${KEY}' is locked: it is disabled, or waits to be deleted)`,
  keyState: 'locked',
}
const ERASED: Refusal = {
  status: 404,
  code: 'kms:KeyNotFound',
  message: 'key with given key ID does not exist',
  keyState: 'erased',
}
const EXCERPT_ROWS = 4
const VALUE_COLUMNS = 44

/**
 * Plays the story, up to its end or to the first step that does not go as it should.
 *
 * @param onStep - is told each step when it is over.
 */
export async function playStory(stage: Stage, onStep: (step: StepResult) => void): Promise<StepResult[]> {
  const { facts, apiKey, secretKey } = stage
  await using kes = new KesClient({ endpoint: facts.keyServer, apiKey, caPath: facts.caFile })
  using objects = new Objects({
    endpoint: facts.node,
    caFile: facts.caFile,
    accessKey: facts.accessKey,
    secretKey,
  })
  const results: StepResult[] = []
  for (const step of stepsOf(stage, kes, objects)) {
    const result = await runStep(step)
    results.push(result)
    onStep(result)
    if (!result.ok) break
  }
  return results
}

function stepsOf(stage: Stage, kes: KesClient, objects: Objects): Step[] {
  const { facts } = stage
  const invoice = objectOf('invoice.txt', { kms: KEY }, SECRET_LINE.repeat(40))
  const letter = objectOf('letter.txt', { kms: OTHER_KEY }, 'Dear Ada, the other key is left alone.\n')
  const note = objectOf('note.txt', 'SSE-S3', "Under the node's own key.\n")
  const diary = objectOf('diary.txt', 'SSE-C', 'Under a key that only this client has.\n')
  const all = [diary, invoice, letter, note]
  const others = [letter, note, diary]
  const receiptFile = join(facts.folder, 'receipt.json')
  const publicKeyFile = join(facts.folder, 'journal.pub')

  return [
    {
      id: 'keys',
      title: 'Two external keys are made',
      proves: 'An external key (EK) stays in the key server: no call gives it out, not even to root.',
      async run(notes) {
        for (const name of [KEY, OTHER_KEY]) {
          notes.command(`kes key create ${name}`)
          await kes.createKey(name)
          const { state } = await kes.describeKey(name)
          notes.claimEqual(`the key ${name} is enabled`, state, 'enabled')
        }
        // As an auditor does on the day of the set-up.
        await copyFile(join(facts.folder, 'keys.db.journal.pub'), publicKeyFile)
      },
    },
    {
      id: 'store',
      title: 'Four objects are stored',
      proves:
        'Each object has its own key, sealed in a chain that ends in an EK, or with SSE-C with the client.',
      async run(notes) {
        await objects.makeBucket()
        notes.command('aws s3 mb s3://demo')
        for (const [object, command, answer] of [
          [invoice, `--sse aws:kms --sse-kms-key-id ${KEY}`, `aws:kms arn:aws:kms:${KEY}`],
          [letter, `--sse aws:kms --sse-kms-key-id ${OTHER_KEY}`, `aws:kms arn:aws:kms:${OTHER_KEY}`],
          [note, '--sse', 'AES256'],
          [diary, '--sse-c AES256 --sse-c-key fileb://my.key', 'SSE-C AES256'],
        ] as const) {
          notes.command(`aws s3 cp ${object.key} s3://demo/ ${command}`)
          notes.claimEqual(`${object.key} is stored: ${answer}`, await objects.put(object), answer)
        }
        for (const object of all) await claimReads(notes, objects, object)
      },
    },
    {
      id: 'drive',
      title: 'What lies on the drive',
      proves: 'Who steals the drive has ciphertext, and keys that are sealed under keys that are not on it.',
      async run(notes) {
        const file = findObjectFile(join(facts.folder, 'node'), invoice.key)
        notes.claim(`there is a file of ${invoice.key}`, file !== undefined)
        if (file === undefined) return
        notes.exhibit(`node/${file.path}, ${file.content.length} bytes of content:`)
        notes.exhibit(...hexRows(file.content, EXCERPT_ROWS), '')
        const sealed = Object.entries(file.metadata).map(([name, value]) => [shortName(name), value] as const)
        notes.exhibit('and behind it what is known of its keys:')
        notes.exhibit(...sealed.map(([name, value]) => `${name.padEnd(28)}${cut(value)}`))
        const names = sealed.map(([name]) => name)
        for (const [name, what] of Object.entries(SEALED))
          notes.claim(`there is ${what}`, names.includes(name), names)
        notes.claim('its content is encrypted', !file.content.includes(SECRET_LINE))
        for (const object of all) {
          const holding = filesThatHold(facts.folder, object.content.subarray(0, 24))
          notes.claim(
            `the text of ${object.key} is in no file of either program`,
            holding.length === 0,
            holding,
          )
        }
      },
    },
    {
      id: 'disable',
      title: 'The key is locked',
      proves: 'A lock holds once the call returns, for all that is under the key, and for nothing else.',
      async run(notes) {
        notes.command(`kes key disable ${KEY}`)
        const beganMs = performance.now()
        await kes.disableKey(KEY)
        const lockMs = performance.now() - beganMs
        notes.command(`aws s3 cp s3://demo/${invoice.key} -`)
        const refused = await refusalOf(objects.digest(invoice))
        notes.claimEqual(`${invoice.key} is refused: ${shown(LOCKED)}`, refused, LOCKED)
        notes.exhibit(`The lock took ${lockMs.toFixed(1)} ms. The client is told:`, LOCKED.message)
        notes.claimEqual('nothing new is written under it', await refusalOf(objects.put(invoice)), LOCKED)
        await claimUsable(notes, objects, invoice, all)
        for (const object of others) await claimReads(notes, objects, object)
      },
    },
    {
      id: 'enable',
      title: 'The key is enabled again',
      proves: 'Nothing was touched: a lock changes no object, so a resume gives back the same bytes.',
      async run(notes) {
        notes.command(`kes key enable ${KEY}`)
        await kes.enableKey(KEY)
        await claimReads(notes, objects, invoice)
        notes.exhibit(`SHA-256 before and after: ${invoice.sha256}`)
      },
    },
    {
      id: 'erase',
      title: 'The key is erased',
      proves: 'Once the key is gone, so is the data, wherever copies of it lie; the name stays reserved.',
      async run(notes) {
        notes.command(`kes key rm --receipt receipt.json ${KEY}`)
        const receipt = await kes.deleteKeyWithReceipt(KEY)
        await writeFile(receiptFile, receipt.document)
        notes.claimEqual(
          `${invoice.key} is gone for good: ${shown(ERASED)}`,
          await refusalOf(objects.digest(invoice)),
          ERASED,
        )
        notes.exhibit('The client is told:', ERASED.message)
        const again = await kes.createKey(KEY).then(
          () => 'a new key of that name was made',
          (error: unknown) => error,
        )
        notes.claim('no new key takes its name', again instanceof KeyNameReservedError, again)
        const file = findObjectFile(join(facts.folder, 'node'), invoice.key)
        notes.claim('its ciphertext lies where it lay, and is worth nothing', file !== undefined)
        await claimUsable(notes, objects, invoice, all)
        for (const object of others) await claimReads(notes, objects, object)
      },
    },
    {
      id: 'receipt',
      title: 'The servers are stopped, and the receipt is verified',
      proves: 'A signature proves the erasure, without the server that made it; a changed word is noticed.',
      async run(notes) {
        await stage.stop()
        const verify = ['receipt', 'verify', '--public-key', publicKeyFile]
        notes.command('kes receipt verify --public-key journal.pub receipt.json')
        const verdict = await runProgram(stage.kes, [...verify, receiptFile])
        notes.claimEqual('the receipt is proven', verdict.code, 0)
        notes.claim(
          `it is of the key ${KEY}`,
          verdict.stdout.startsWith(`The key "${KEY}" was erased`),
          verdict.stdout,
        )
        notes.exhibit(...verdict.stdout.trimEnd().split('\n'))
        const forged = join(facts.folder, 'forged.json')
        const changed = await rewrite(receiptFile, forged, KEY, OTHER_KEY)
        notes.claim('a forger has changed the name', changed)
        notes.claimEqual(
          'the forged receipt is refused',
          (await runProgram(stage.kes, [...verify, forged])).code,
          1,
        )
      },
    },
  ]
}

async function claimReads(notes: Notes, objects: Objects, object: StoredObject): Promise<void> {
  notes.claimEqual(`${object.key} reads, with its SHA-256`, await objects.digest(object), object.sha256)
}

/** What needs no key goes on. */
async function claimUsable(
  notes: Notes,
  objects: Objects,
  locked: StoredObject,
  all: readonly StoredObject[],
): Promise<void> {
  const names = all.map(({ key }) => key)
  notes.claimEqual('the list has every object', await objects.list(), names)
  notes.claimEqual(`HEAD tells the size of ${locked.key}`, await objects.size(locked), locked.content.length)
}

const SEALED: Readonly<Record<string, string>> = {
  'Kms-Sealed-Key': 'the object key (OEK), sealed',
  'S3-Kms-Sealed-Key': 'the data key (DEK), as the key server encrypted it',
}

/** Of MinIO's name of internal metadata, the end. */
function shortName(name: string): string {
  return name.replace(/^X-Minio-Internal-(?:Server-Side-Encryption-)?/i, '')
}

function cut(text: string): string {
  return text.length > VALUE_COLUMNS ? `${text.slice(0, VALUE_COLUMNS)}…` : text
}

function shown({ status, code, keyState }: Refusal): string {
  return `${status} ${code}, ${keyState}`
}

function runProgram(program: string, args: readonly string[]): Promise<{ code: unknown; stdout: string }> {
  return new Promise((done) => {
    // No variable names a server: what it says rests on the two files alone.
    execFile(process.execPath, [program, ...args], { env: { PATH: process.env.PATH } }, (error, stdout) =>
      done({ code: error === null ? 0 : error.code, stdout }),
    )
  })
}

/** A copy of a file with a word replaced. @returns whether the word was there. */
async function rewrite(from: string, to: string, word: string, other: string): Promise<boolean> {
  const text = await readFile(from, 'utf8')
  await writeFile(to, text.replaceAll(word, other))
  return text.includes(word)
}
