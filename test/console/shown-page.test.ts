// The page of the console in a browser, against a server that can be brought to say anything.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { accessibilityViolations, logIn, openPage, type PageOptions } from './chromium.ts'
import { browserTest } from './chromium-test.ts'
import { FakeConsole, PAGE } from './fake-console.ts'

const PAGE_BYTES_MAX = 60_000

test(`all files of the page have less than ${PAGE_BYTES_MAX} bytes, compressed`, () => {
  const files = readdirSync(PAGE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const sizes = files.map(({ parentPath, name }) => gzipSync(readFileSync(join(parentPath, name))).length)
  expect(files.length).toBeGreaterThan(2)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(PAGE_BYTES_MAX)
})

/** Logged in. Whatever the test did, the page must have done nothing wrong. */
async function withPage(
  browser: Browser,
  fake: FakeConsole,
  run: (page: Page) => Promise<void>,
  options?: PageOptions,
): Promise<void> {
  const { page, context, wrongs } = await openPage(browser, fake.origin, options)
  await logIn(page, fake.apiKey.toString())
  await run(page)
  expect(wrongs).toEqual([])
  await context.close()
}

const rowOf = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name })

browserTest(
  'the seed of the API key leaves the page in no form, and nothing is kept of it',
  async (browser) => {
    await using fake = await FakeConsole.start()
    const { page, wrongs } = await openPage(browser, fake.origin)
    const sent: string[] = []
    page.on('request', (request) => {
      sent.push(request.url(), JSON.stringify(request.headers()), request.postData() ?? '')
    })
    const apiKey = fake.apiKey.toString()
    await logIn(page, apiKey)

    const seed = Buffer.from(apiKey.slice('kes:v1:'.length), 'base64').subarray(1)
    const forms = [apiKey.slice(7), seed.toString('base64'), seed.toString('base64url'), seed.toString('hex')]
    for (const form of forms) expect(sent.join('\n')).not.toContain(form)
    const kept = await page.evaluate(
      '[location.href, document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), ' +
        'document.documentElement.outerHTML, ...[...document.querySelectorAll("input")].map((each) => each.value)].join()',
    )
    for (const form of forms) expect(kept).not.toContain(form)
    expect(await page.evaluate('document.cookie + localStorage.length + sessionStorage.length')).toBe('00')

    await page.reload()
    await page.getByLabel('API key').waitFor()
    expect(wrongs).toEqual([])
  },
)

browserTest('a wrong API key is told, and the field is empty and has the focus', async (browser) => {
  await using fake = await FakeConsole.start()
  const { page } = await openPage(browser, fake.origin)
  const field = page.getByLabel('API key')
  const attempt = async (text: string) => {
    await field.fill(text)
    await field.press('Enter')
    await page.getByRole('alert').waitFor()
    expect(await field.inputValue()).toBe('')
    await page.waitForFunction('document.activeElement?.type === "password"')
    return await page.getByRole('alert').textContent()
  }

  expect(await attempt('kes:v1:nonsense!')).toContain('not an API key')
  await using other = await FakeConsole.start()
  expect(await attempt(other.apiKey.toString())).toContain('the login is refused')
})

browserTest(
  'a change made elsewhere is shown without a reload, also after the stream broke',
  async (browser) => {
    await using fake = await FakeConsole.start()
    fake.addKey('invoices')
    fake.addKey('letters')
    await withPage(browser, fake, async (page) => {
      await rowOf(page, 'invoices').getByText('enabled').waitFor()
      fake.change('invoices', 'disabled')
      await rowOf(page, 'invoices').getByText('disabled').waitFor()

      fake.cutStreams()
      fake.change('letters', 'disabled')
      fake.keys.delete('invoices')
      await rowOf(page, 'letters').getByText('disabled').waitFor()
      await rowOf(page, 'invoices').waitFor({ state: 'detached' })

      fake.addKey('new-one')
      fake.change('new-one', 'enabled')
      await rowOf(page, 'new-one').waitFor()
      fake.keys.delete('new-one')
      fake.change('new-one', 'erased')
      await rowOf(page, 'new-one').getByText('erased').waitFor()
    })
  },
)

browserTest('a session that the server has ended leads back to the login, and says so', async (browser) => {
  await using fake = await FakeConsole.start()
  await withPage(browser, fake, async (page) => {
    fake.endSessions()
    // Not by a click: a stream that asks again may have led back to the login already.
    await page.goto(`${fake.origin}/#/access`)
    await page.getByText('Your session has ended').waitFor()
    expect(await page.getByLabel('API key').isVisible()).toBe(true)
  })
})

browserTest(
  'a page that is left, and one that nobody touches, end their session at the server',
  async (browser) => {
    await using fake = await FakeConsole.start()
    const { page } = await openPage(browser, fake.origin)
    const logouts = () => fake.asked.filter((call) => call === 'POST /console/logout').length
    await logIn(page, fake.apiKey.toString())
    await page.goto('about:blank')
    await expect.poll(logouts).toBe(1)

    await page.clock.install()
    await page.goto(fake.origin)
    await logIn(page, fake.apiKey.toString())
    await page.clock.runFor('14:50')
    await page.keyboard.press('Shift')
    await page.clock.runFor('14:50')
    expect(await page.getByRole('navigation').isVisible()).toBe(true)
    await expect.poll(() => fake.asked.filter((call) => call.endsWith('/console/info')).length).toBe(3)
    await page.clock.runFor('00:20')
    await page.getByText('You were logged out').waitFor()
    await expect.poll(logouts).toBe(2)
  },
)

browserTest('an upload keeps the session of a page that nobody touches', async (browser) => {
  await using fake = await FakeConsole.start()
  fake.objects.set('bucket', [])
  await withPage(browser, fake, async (page) => {
    await page.clock.install()
    await page.goto(`${fake.origin}/#/objects/bucket`)
    await page.reload()
    await logIn(page, fake.apiKey.toString())
    await page.getByRole('button', { name: 'Upload' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Files').setInputFiles({ name: 'a', mimeType: '', buffer: Buffer.from('x') })
    await dialog.getByRole('button', { name: 'Upload' }).click()
    await expect.poll(() => fake.asked.some((call) => call.startsWith('PUT'))).toBe(true)
    await page.clock.runFor('40:00')
    expect(await dialog.isVisible()).toBe(true)

    fake.uploaded.resolve({ etag: '' })
    await page.getByText('1 object uploaded.').waitFor()
    await page.clock.runFor('15:10')
    await page.getByText('You were logged out').waitFor()
  })
})

browserTest(
  'a key is deleted only when its name is typed, and what dies with it is said before',
  async (browser) => {
    await using fake = await FakeConsole.start()
    fake.addKey('invoices')
    fake.objects.set('archive', [
      { key: 'a/b.pdf', size: 7, encryption: { kind: 'SSE-KMS', key_id: 'invoices' } },
    ])
    await withPage(browser, fake, async (page) => {
      await page.getByRole('link', { name: 'invoices' }).click()
      await page.getByRole('button', { name: 'Delete …' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('1 object (1 byte)').waitFor()
      await dialog.getByText('archive/a/b.pdf').waitFor()
      const confirm = dialog.getByRole('button', { name: 'Schedule deletion' })
      await dialog.getByLabel('Type the name').fill('invoice')
      expect(await confirm.isDisabled()).toBe(true)
      await dialog.getByLabel('Type the name').fill('invoices')
      expect(await confirm.isEnabled()).toBe(true)

      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      const focused = await page.evaluate('document.activeElement?.textContent')
      expect(focused).toBe('Delete …')
      expect(fake.asked.filter((call) => call.startsWith('DELETE'))).toEqual([])
    })
  },
)

browserTest(
  'ten thousand keys are a short document, and the keyboard goes through all of them',
  async (browser) => {
    await using fake = await FakeConsole.start()
    for (let index = 0; index < 10_000; index++) fake.addKey(`key-${String(index).padStart(5, '0')}`)
    await withPage(browser, fake, async (page) => {
      await page.getByText('10,000 keys').waitFor()
      const focused = () => page.evaluate('document.activeElement?.textContent')
      await page.getByRole('link', { name: 'key-00000' }).focus()
      await page.keyboard.press('ArrowDown')
      expect(await focused()).toBe('key-00001')
      await page.keyboard.press('End')
      expect(await focused()).toBe('key-09999')
      expect(await page.getByRole('row').count()).toBeLessThan(60)
      expect(await page.getByRole('row').last().getAttribute('aria-rowindex')).toBe('10001')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'key-09999' }).waitFor()

      await page.getByLabel('Filter by name').fill('key-0123')
      await page.getByText('10 keys').waitFor()

      await page.getByLabel('Filter by name').fill('erased-one')
      await page.getByRole('link', { name: 'its history' }).click()
      await page.getByRole('heading', { name: 'erased-one' }).waitFor()
    })
  },
)

browserTest(
  'of many events the last two thousand are kept, and a pause holds them still',
  async (browser) => {
    await using fake = await FakeConsole.start()
    await withPage(browser, fake, async (page) => {
      await page.getByRole('link', { name: 'Activity' }).click()
      const burst = (start: number, count: number) =>
        fake.emit(
          Array.from({ length: count }, (_, index) => ({
            path: `/v1/key/generate/key-${start + index}`,
            identity: fake.apiKey.identity,
            code: 200,
          })),
        )
      burst(0, 5000)
      await page.getByText('5,000 since the login, the last 2,000 shown').waitFor()
      await rowOf(page, 'key-4999').waitFor()
      await page.getByRole('button', { name: 'Pause' }).click()
      burst(5000, 100)
      await page.getByText('5,100 since the login').waitFor()
      expect(await rowOf(page, 'key-5099').count()).toBe(0)
      await page.getByRole('button', { name: 'Go on' }).click()
      await rowOf(page, 'key-5099').waitFor()
    })
  },
)

/** What an attacker may call things: 80 bytes and more of anything. */
const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  "');alert(1);//",
  'javascript:alert(1)',
  '\u202Efdp.exe\u202D',
  'שלום עולם 123 abc',
  '\u0000\u0001\u001b[31m\r\n\t',
  '%2e%2e/%00/..//./',
  '{{constructor.constructor("alert(1)")()}}',
  '__proto__',
  'a'.repeat(1024),
  '\u200b\u2066\u2069\ufeff\u00ad',
  '👩‍👩‍👧‍👦'.repeat(10),
  'Ⱥ'.repeat(40),
] as const

browserTest(
  'hostile names and contexts run no script, break no view, and are shown for what they are',
  async (browser) => {
    await using fake = await FakeConsole.start()
    for (const name of HOSTILE) {
      fake.addKey(name, name)
      fake.identities.push(name)
      fake.policies.set(name, { name, allow: { [name]: {} }, deny: { [name]: {} } })
    }
    const objects = HOSTILE.map((key) => ({ key, size: 1, encryption: { kind: key, key_id: key } }))
    fake.objects.set('bucket', objects)
    for (const key of HOSTILE) {
      const stage = { outcome: 'fails', reason: key }
      fake.explained.set(`bucket/${key}`, {
        ...{ bucket: 'bucket', key, size: 1, storedBytes: 1, modifiedAt: key, kind: key, externalKey: key },
        ...{ context: key, keys: key, parts: [], stages: [{ ...stage, name: 'data key' }] },
      })
    }
    await withPage(browser, fake, async (page) => {
      const check = async () => {
        expect(await page.locator('img, script:not([src]), iframe, [onerror], [style*="url"]').count()).toBe(
          0,
        )
        expect(await isWithinWidth(page)).toBe(true)
        const text = await page.locator('#page').textContent()
        expect(text).not.toMatch(/[\u200b\u202a-\u202e\u2066-\u2069]/)
      }
      await page.getByText(`${HOSTILE.length} keys`).waitFor()
      await rowOf(page, '<img src=x onerror=alert(1)>').waitFor()
      await rowOf(page, '\\u{202e}fdp.exe\\u{202d}').waitFor()
      await check()

      await fake.untilRead(1)
      fake.emit(HOSTILE.map((path) => ({ path, identity: path, code: 200 })))
      await page.getByRole('link', { name: 'Activity' }).click()
      await rowOf(page, "');alert(1);//").first().waitFor()
      await check()

      await page.getByRole('link', { name: 'Access' }).click()
      for (const summary of await page.locator('summary').all()) await summary.click()
      await page.getByLabel('Path').fill('<b>path</b>')
      await page.getByRole('button', { name: 'Ask' }).click()
      await page.getByText("rule '<b>path</b>' denies it").waitFor()
      await check()

      for (const name of HOSTILE) {
        await page.goto(`${fake.origin}/#/keys/${encodeURIComponent(name)}`)
        await page.getByRole('heading', { name: 'History' }).waitFor()
        await check()
        await page.goto(`${fake.origin}/#/objects/bucket/${encodeURIComponent(name)}`)
        await page.getByText('The chain breaks at the').waitFor()
        await check()
      }
      await page.goto(`${fake.origin}/#/objects/bucket`)
      await page.getByRole('link', { name: 'javascript:alert(1)' }).waitFor()
      await check()
    })
  },
)

function isWithinWidth(page: Page): Promise<unknown> {
  return page.evaluate('document.documentElement.scrollWidth <= innerWidth')
}

const WIDTHS = [320, 480, 641, 800, 901, 1024] as const

browserTest('no view is wider than the window, whatever its width', async (browser) => {
  await using fake = await FakeConsole.start()
  fake.addKey('k'.repeat(80), 'pending')
  fake.objects.set('bucket', [{ key: 'o'.repeat(200), size: 1, encryption: null }])
  await withPage(browser, fake, async (page) => {
    for (const view of ['keys', `keys/${'k'.repeat(80)}`, 'objects/bucket', 'activity', 'access']) {
      await page.goto(`${fake.origin}/#/${view}`)
      await page.getByRole('heading', { level: 2 }).first().waitFor()
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 700 })
        expect(await isWithinWidth(page), `${view} at ${width}`).toBe(true)
      }
    }
  })
})

const SCREENS: readonly PageOptions[] = [
  { width: 1280, height: 800, colorScheme: 'light' },
  { width: 1280, height: 800, colorScheme: 'dark' },
  { width: 360, height: 740, colorScheme: 'light' },
  { width: 360, height: 740, colorScheme: 'dark' },
]

browserTest(
  'axe finds nothing in any view, in dark and light, on a screen and on a phone',
  async (browser) => {
    await using fake = await FakeConsole.start()
    for (const state of ['enabled', 'disabled', 'pending', 'damaged']) fake.addKey(`key-${state}`, state)
    fake.policies.set('my-app', { name: 'my-app', allow: { '/v1/key/generate/*': {} } })
    fake.identities.push('my-app')
    const encryption = { kind: 'SSE-KMS', key_id: 'key-disabled' }
    fake.objects.set('bucket', [{ key: 'a/b.pdf', size: 1, encryption }])
    const stage = { name: 'data key', outcome: 'fails', reason: 'the key is disabled' }
    const facts = { kind: 'SSE-KMS', externalKey: 'key-disabled', context: '{}', keys: 'one', parts: [] }
    fake.explained.set('bucket/a/b.pdf', {
      ...{ bucket: 'bucket', key: 'a/b.pdf', size: 1, storedBytes: 33, modifiedAt: '2026-11-26T12:00:00Z' },
      ...{ ...facts, stages: [stage] },
    })

    for (const screen of SCREENS) {
      const { page, context } = await openPage(browser, fake.origin, screen)
      expect(await accessibilityViolations(page)).toEqual([])
      await logIn(page, fake.apiKey.toString())
      await fake.untilRead(SCREENS.indexOf(screen) + 1)
      fake.emit([{ path: '/v1/key/generate/key-enabled', identity: 'my-app', code: 403 }])
      const views = [
        ['#/keys', 'key-pending'],
        ['#/keys/key-disabled', 'Download history'],
        ['#/activity', '/v1/key/generate/key-enabled'],
        ['#/access', 'Identities'],
        ['#/objects/bucket', 'a/b.pdf'],
        ['#/objects/bucket/a%2Fb.pdf', 'The chain breaks at the EK'],
      ] as const
      for (const [view, text] of views) {
        await page.goto(`${fake.origin}/${view}`)
        await page.getByText(text).first().waitFor()
        expect(await accessibilityViolations(page), view).toEqual([])
        expect(await isWithinWidth(page), view).toBe(true)
      }
      await page.goto(`${fake.origin}/#/keys/key-enabled`)
      await page.getByRole('button', { name: 'Delete …' }).click()
      await page.getByRole('dialog').getByText('encrypted under this key').waitFor()
      expect(await accessibilityViolations(page)).toEqual([])
      await context.close()
    }
  },
)
