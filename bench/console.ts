/** Does the console's page stay responsive with many keys, while events pour in? */
import { parseArgs } from 'node:util'
import type { Page } from 'playwright-core'
import { launchBrowser, logIn, openPage } from '../test/console/chromium.ts'
import { FakeConsole } from '../test/console/fake-console.ts'
import { type Program, parseCount } from './program.ts'
import { latencyFrom } from './stopwatch.ts'
import { formatNumber, formatTable } from './table.ts'

const HELP = `npm run bench -- console [options]

Does the console's page stay responsive with many keys, while events pour in? Opens the page in headless Chromium, against
a server that has so many keys and sends so many audit events a second, and prints, for the list of keys and for the list
of events: how long the page takes from one frame to the next, how long its longest tasks hold up everything else, how
long a letter that is typed into the filter takes until it has been drawn, and a change of a key until it is shown.

  --keys N         of the server                           (default: 10000)
  --events N       a second                                (default: 1000)
  --seconds N      that each view is watched               (default: 10)
`

/** Events come in batches, as a server under load sends them. */
const BATCH_MS = 20
const KEYSTROKE_MS = 250

interface Measurement {
  readonly view: string
  readonly frames: readonly number[]
  readonly tasks: readonly number[]
  readonly keystrokes: readonly number[]
  readonly changes: readonly number[]
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '10000' },
      events: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '10' },
    },
  })
  const keys = parseCount('keys', values.keys)
  const events = parseCount('events', values.events)
  const seconds = parseCount('seconds', values.seconds)

  await using fake = await FakeConsole.start()
  for (let index = 0; index < keys; index += 1) fake.addKey(nameOf(index))
  const browser = await launchBrowser()
  try {
    const { page } = await openPage(browser, fake.origin)
    const startedMs = performance.now()
    await logIn(page, fake.apiKey.toString())
    await page.getByText(`${keys.toLocaleString('en')} keys`).waitFor()
    const listedMs = performance.now() - startedMs

    const timer = pour(fake, events, keys)
    const results = [
      await measure(page, fake, 'keys', seconds),
      await measure(page, fake, 'activity', seconds),
    ]
    clearInterval(timer)
    const heap = Number(await page.evaluate('performance.memory.usedJSHeapSize'))
    process.stdout.write(
      `${keys} keys listed ${formatNumber(listedMs)} ms after the click on 'Log in'; ${events} events/s\n\n`,
    )
    process.stdout.write(table(results))
    process.stdout.write(`\nheap of the page at the end: ${formatNumber(heap / 1e6)} MB\n`)
  } finally {
    await browser.close()
  }
  return 0
}

const nameOf = (index: number) => `key-${String(index).padStart(6, '0')}`

function pour(fake: FakeConsole, perSecond: number, keys: number): NodeJS.Timeout {
  const startedMs = performance.now()
  let sent = 0
  return setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond)
    const identity = fake.apiKey.identity
    fake.emit(
      Array.from({ length: due - sent }, (_, index) => {
        const number = sent + index
        const path = `/v1/key/${number % 3 === 0 ? 'generate' : 'decrypt'}/${nameOf(number % keys)}`
        return { path, identity, code: number % 50 === 0 ? 403 : 200 }
      }),
    )
    sent = due
  }, BATCH_MS)
}

/** Runs in the page: frames and long tasks, until asked for them; and letters typed, until they are drawn. */
const PROBE = `(() => {
  const probe = { frames: [], tasks: [], keystrokes: [] }
  let last = performance.now()
  const frame = (now) => { probe.frames.push(now - last); last = now; probe.next = requestAnimationFrame(frame) }
  requestAnimationFrame(frame)
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) probe.tasks.push(entry.duration)
  })
  observer.observe({ type: 'longtask' })
  addEventListener('input', (event) => {
    const channel = new MessageChannel()
    channel.port1.onmessage = () => probe.keystrokes.push(performance.now() - event.timeStamp)
    requestAnimationFrame(() => channel.port2.postMessage(undefined))
  }, { capture: true })
  window.probe = probe
})()`

async function measure(page: Page, fake: FakeConsole, view: string, seconds: number): Promise<Measurement> {
  await page.goto(`${fake.origin}/#/${view}`)
  await page.evaluate(PROBE)
  const filter = page.getByRole('searchbox')
  const changes: number[] = []
  const endMs = performance.now() + seconds * 1000
  for (let round = 0; performance.now() < endMs; round += 1) {
    await filter.pressSequentially('key-0', { delay: KEYSTROKE_MS })
    await filter.fill('')
    if (view === 'keys')
      changes.push(await timeOfChange(page, fake, round % 2 === 0 ? 'disabled' : 'enabled'))
  }
  const { frames, tasks, keystrokes } = (await page.evaluate('window.probe')) as Omit<
    Measurement,
    'view' | 'changes'
  >
  return { view, frames: frames.slice(1), tasks, keystrokes, changes }
}

/** Of the first key of the list, from the moment the server writes it. */
async function timeOfChange(page: Page, fake: FakeConsole, state: string): Promise<number> {
  const startedMs = performance.now()
  fake.change(nameOf(0), state)
  await page.locator('tbody tr').first().getByText(state).waitFor()
  return performance.now() - startedMs
}

function table(results: readonly Measurement[]): string {
  const row = (view: string, what: string, samples: readonly number[]) => {
    if (samples.length === 0) return [`${view}: ${what}`, '0', '', '', '']
    const { p50Ms, p99Ms } = latencyFrom([...samples])
    return [
      `${view}: ${what}`,
      String(samples.length),
      ...[p50Ms, p99Ms, Math.max(...samples)].map(formatNumber),
    ]
  }
  return formatTable(
    ['', 'count', 'p50 ms', 'p99 ms', 'max ms'],
    results.flatMap(({ view, frames, tasks, keystrokes, changes }) => [
      row(view, 'frame to frame', frames),
      row(view, 'tasks over 50 ms', tasks),
      row(view, 'letter to picture', keystrokes),
      ...(changes.length === 0 ? [] : [row(view, 'change to picture', changes)]),
    ]),
  )
}

export const consoleProgram: Program = {
  question: "Does the console's page stay responsive with many keys, while events pour in?",
  help: HELP,
  run,
}
