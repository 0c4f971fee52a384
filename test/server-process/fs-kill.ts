/**
 * A process that takes over a folder of keys, makes a key, erases another, and kills itself at one of its own calls.
 *
 *     node fs-kill.ts <folder> <database> <number of the call> <whole|half>
 *
 * Prints a line for each step that the store has said yes to, and at the end which calls there were, by number, and
 * `+` behind those that write.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { FsKeystore } from '../../packages/kes-server/src/config/keystore-config.ts'
import { requireOfServer } from './server-process.ts'

const [folder = '', database = '', number = '', manner = ''] = process.argv.slice(2)
const say = fs.writeSync
let isWatching = false // Not before the program's own modules have been read.
let calls = 0
const list: string[] = []

/** The calls that change files, or make changes last. */
const CALLS = [
  ...['openSync', 'writeFileSync', 'writeSync', 'fsyncSync', 'closeSync'],
  ...['linkSync', 'renameSync', 'unlinkSync', 'rmSync', 'mkdirSync'],
]

type Call = (...args: unknown[]) => unknown

/** Dies at the call before it happens; a write that is to be half a one gets that far. */
function watched(call: Call): Call {
  return function (this: unknown, ...args) {
    if (!isWatching) return call.apply(this, args)
    calls += 1
    const [target, content, ...rest] = args
    list.push(`${calls}${content instanceof Uint8Array ? '+' : ''}`)
    if (calls !== Number(number)) return call.apply(this, args)
    if (manner === 'half' && content instanceof Uint8Array) {
      call.call(this, target, content.subarray(0, content.length >> 1), ...rest)
    }
    process.kill(process.pid, 'SIGKILL')
    for (;;); // Until the signal is there.
  }
}

for (const name of CALLS) {
  const call: Call = Reflect.get(fs, name)
  Reflect.set(fs, name, watched(call))
}
syncBuiltinESMExports()
const Database = requireOfServer('better-sqlite3')
const statements = Object.getPrototypeOf(new Database(':memory:').prepare('SELECT 1'))
statements.run = watched(statements.run)

const { openStore } = await import('../../packages/kes-server/src/open-store.ts')
const { KeyRing } = await import('../../packages/kes-server/src/keyring/key-ring.ts')
const { parseKeyName } = await import('../../packages/kes-server/src/names.ts')

const by = { identity: 'killed', ip: '' }
const keystore: FsKeystore = {
  type: 'fs',
  path: folder,
  databasePath: database,
  unseal: undefined,
  argon2: { memoryBytes: 8 * 2 ** 20, passes: 1, parallelism: 1 },
}
isWatching = true
const { store, seal, journal } = openStore(keystore)
const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
say(1, 'opened\n')
ring.create(parseKeyName('made'), by)
say(1, 'made\n')
ring.setState(parseKeyName('found'), 'disabled', by)
say(1, 'disabled\n')
await ring.erase(parseKeyName('old'), by)
say(1, 'erased\n')
store.close()
say(1, `${list.join(' ')}\n`)
