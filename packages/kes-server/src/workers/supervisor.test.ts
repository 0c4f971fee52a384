import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Metrics } from '../metrics/metrics.ts'
import { ServerTally } from '../metrics/server-tally.ts'
import { Supervisor } from './supervisor.ts'

test.each([
  ['before', false],
  ['after', true],
])('a log is wanted no more when its last reader goes %s its reply', async (_, isReplied) => {
  const supervisor = new Supervisor({
    metrics: new Metrics(),
    tally: new ServerTally(),
    write: () => undefined,
  })
  const log = supervisor.streamOf('audit')
  const reader = new PassThrough()
  await log.open(reader)
  if (isReplied) log.add(reader)
  expect(log.isWanted).toBe(true)
  const isClosed = new Promise((resolve) => reader.once('close', resolve))
  reader.destroy()
  await isClosed
  expect(log.isWanted).toBe(false)
})
