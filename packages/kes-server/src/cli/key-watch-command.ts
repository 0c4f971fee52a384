/** `kes key watch`: the keys as they are, and then every change, until Ctrl-C. */
import type { KeyEvent } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatUtcTime } from './format.ts'
import { type Io, printJson } from './io.ts'
import { paintState, shownState } from './key-state.ts'
import { paint } from './paint.ts'
import { untilInterrupted } from './until-interrupted.ts'
import { withServers } from './with-servers.ts'

const TIME_COLUMNS = 22
const ACTION_COLUMNS = 11
const STATE_COLUMNS = 19

export function addKeyWatchCommand(group: KesCommand, io: Io): void {
  group
    .command('watch')
    .description(
      "Print keys and their states, and then every change, until interrupted; a prefix may end in '*'",
    )
    .summary('Print every change of keys until interrupted')
    .usage('[options] [<prefix>]')
    .argument('[prefix]')
    .addClientOptions()
    .addJsonOption('Print each event as a line of JSON')
    .addColorOption()
    .action(async (prefix: string | undefined, flags: ClientFlags & OutputFlags) => {
      const call = {
        method: 'GET',
        path: `/v1/key/watch/${prefix ?? ''}`,
        failure: 'failed to watch keys',
      } as const
      await withServers(io, flags, (servers) =>
        servers.call(call, async (client, { signal }, { endpoint, stay }) => {
          const header = row('Time (UTC)', 'Change', 'State'.padEnd(STATE_COLUMNS), 'Key')
          const onOpen = () => {
            stay()
            if (!flags.json) io.stdout.write(`${paint('bold', header, io.stdout, io.env, flags.color)}\n`)
          }
          await untilInterrupted(io, endpoint, async () => {
            for await (const event of client.watchKeys(prefix, { signal, onOpen })) {
              if (flags.json) printJson(io, documentOf(event))
              else if (event.event !== 'snapshot-end') io.stdout.write(`${describe(io, event, flags)}\n`)
            }
          })
        }),
      )
    })
}

function describe(
  io: Io,
  event: Exclude<KeyEvent, { event: 'snapshot-end' }>,
  { color }: OutputFlags,
): string {
  const { time = '', action = '' } = event.event === 'change' ? event : {}
  const shown = shownState(event.state)
  const state = paintState(io, shown, color) + ' '.repeat(Math.max(1, STATE_COLUMNS - shown.length))
  const until = event.deletionAt === undefined ? '' : `   until ${formatUtcTime(event.deletionAt)}`
  return row(formatUtcTime(time), action, state, event.name + until)
}

function row(time: string, action: string, state: string, name: string): string {
  return time.padEnd(TIME_COLUMNS) + action.padEnd(ACTION_COLUMNS) + state + name
}

/** As the server sends it. */
function documentOf(event: KeyEvent) {
  if (event.event === 'snapshot-end') return event
  const { deletionAt, ...rest } = event
  return { ...rest, deletion_at: deletionAt }
}
