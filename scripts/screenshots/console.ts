/** Pictures of the console, as a visitor of the sandbox sees it. */
import { setInterval as ticks } from 'node:timers/promises'
import { KesClient, KeyDisabledError } from '@latchkey/kms-client'
import type { Page } from 'playwright-core'
import type { Sandbox } from '../../packages/play/src/sandbox/sandbox.ts'
import { launchBrowser, logIn, openPage } from '../../test/console/chromium.ts'
import { LOCKED } from './content.ts'

const SIZE = { width: 1000, height: 620 } as const
/** For the chain of keys as a whole. */
const TALL = { width: 1240, height: 800 } as const
const ACTIVE_SECONDS = 8

/** @returns PNG files by their names. */
export async function takePictures(sandbox: Sandbox): Promise<Map<string, Buffer>> {
  const { facts, apiKey } = sandbox
  const browser = await launchBrowser()
  try {
    const { page: light } = await openPage(browser, facts.console, SIZE)
    const { page: dark } = await openPage(browser, facts.console, { ...SIZE, colorScheme: 'dark' })
    for (const page of [light, dark]) await logIn(page, apiKey)
    await use(sandbox)
    await show(light, '#/keys', LOCKED.key)
    const keys = await picture(light)
    await light.setViewportSize(TALL)
    await show(light, `#/objects/${LOCKED.bucket}/${encodeURIComponent(LOCKED.object)}`, 'OEK')
    const locked = await picture(light)
    await show(dark, '#/activity', '/v1/key/generate/')
    const activity = await picture(dark)
    return new Map([
      ['console-keys.png', keys],
      ['console-locked.png', locked],
      ['console-activity.png', activity],
    ])
  } finally {
    await browser.close()
  }
}

/** Without the foot, which tells where the files of this one sandbox are. */
async function picture(page: Page): Promise<Buffer> {
  const foot = await page.getByRole('contentinfo').boundingBox()
  const { width, height } = page.viewportSize() ?? SIZE
  return await page.screenshot({ clip: { x: 0, y: 0, width, height: foot?.y ?? height } })
}

async function show(page: Page, route: string, text: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(route)}`)
  await page.getByText(text).first().waitFor()
  // What is fetched for the view must have come, and what moves must rest.
  await page.waitForTimeout(1000)
}

/** Uses keys, the locked one among them, so that there is something to see. */
async function use({ facts, apiKey }: Sandbox): Promise<void> {
  await using kes = new KesClient({ endpoint: facts.keyServer, apiKey, caPath: facts.caFile })
  let second = 0
  for await (const _ of ticks(1000)) {
    second += 1
    for (let each = 0; each < 4 + ((second * 5) % 9); each += 1) await kes.generateKey('invoices')
    await kes.generateKey(LOCKED.key).catch((error: unknown) => {
      if (!(error instanceof KeyDisabledError)) throw error
    })
    if (second === ACTIVE_SECONDS) return
  }
}
