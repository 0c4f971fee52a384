import type { Browser } from 'playwright-core'
import { test } from 'vitest'
import { EXECUTABLE, launchBrowser, MISSING_BROWSER } from './chromium.ts'

/** A test in a browser of its own. Where there is none it is skipped; in CI it fails instead. */
export function browserTest(title: string, run: (browser: Browser) => Promise<void>): void {
  test(title, async ({ skip }) => {
    if (EXECUTABLE === undefined && !process.env.CI) {
      console.warn(`skipped: ${title}: ${MISSING_BROWSER}`)
      skip(MISSING_BROWSER)
    }
    const browser = await launchBrowser()
    try {
      await run(browser)
    } finally {
      await browser.close()
    }
  })
}
