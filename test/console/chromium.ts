/** Headless Chromium with a page of the console, and everything that the page must not do, counted. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'] as const
export const EXECUTABLE = PLACES.find((path) => existsSync(path))
export const MISSING_BROWSER = 'not on this machine: chromium'

export function launchBrowser(): Promise<Browser> {
  if (EXECUTABLE === undefined) throw new Error(MISSING_BROWSER)
  return chromium.launch({
    executablePath: EXECUTABLE,
    // A test runs as whoever started it, in a container perhaps, and opens nothing but the page of this repository.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking'],
  })
}

export interface WatchedPage {
  readonly page: Page
  readonly context: BrowserContext
  /** Errors of scripts, refusals of the content security policy, and requests to elsewhere. */
  readonly wrongs: readonly string[]
}

export interface PageOptions {
  readonly width?: number
  readonly height?: number
  readonly colorScheme?: 'light' | 'dark'
}

export async function openPage(
  browser: Browser,
  origin: string,
  { width = 1280, height = 800, colorScheme = 'light' }: PageOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    acceptDownloads: true,
  })
  const page = await context.newPage()
  const wrongs: string[] = []
  page.on('pageerror', (error) => wrongs.push(`script: ${error.message}`))
  page.on('console', (message) => {
    // What the server refuses is told there, too, and is no fault of the page.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      wrongs.push(`console: ${message.text()}`)
    }
  })
  page.on('dialog', (dialog) => {
    wrongs.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch((error: unknown) => wrongs.push(String(error)))
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && url.protocol !== 'blob:' && url.protocol !== 'data:') {
      wrongs.push(`request: ${request.url()}`)
    }
  })
  await page.goto(origin)
  return { page, context, wrongs }
}

export async function logIn(page: Page, apiKey: string): Promise<void> {
  await page.getByLabel('API key').fill(apiKey)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('navigation').waitFor()
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds, one line each. It runs past the content security policy, as the debugger may. */
export async function accessibilityViolations(page: Page): Promise<readonly string[]> {
  const results = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ['violations'] })`)
  const { violations } = results as {
    violations: { id: string; help: string; nodes: { target: unknown; failureSummary: string }[] }[]
  }
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target}: ${failureSummary}`),
  )
}
