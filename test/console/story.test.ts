// The whole story in a browser, against the real programs: what the page says is compared with what they say past it.
import { createHash, createPublicKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { GetBucketEncryptionCommand, GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3'
import type { Download, Page } from 'playwright-core'
import { expect } from 'vitest'
import { verifyReceipt } from '../../packages/kes-server/src/journal/document.ts'
import { accessibilityViolations, logIn, openPage } from './chromium.ts'
import { browserTest } from './chromium-test.ts'
import { startPrograms } from './story.ts'

const KEY = 'invoices'
const BUCKET = 'archive'
const FILE = { name: 'report 2026.bin', mimeType: 'application/octet-stream', buffer: randomBytes(300_000) }
const OBJECT = { Bucket: BUCKET, Key: FILE.name }

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const stateOf = (page: Page) => page.locator('.pane-head .badge').textContent()
const rowOf = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name })

async function saved(page: Page, button: string): Promise<Buffer> {
  const [download] = await Promise.all([
    page.waitForEvent('download') as Promise<Download>,
    page.getByRole('button', { name: button }).click(),
  ])
  return readFileSync(await download.path())
}

browserTest(
  'upload, lock, failed download, resume, the same bytes, erasure: the page says what the programs say',
  async (browser) => {
    await using programs = await startPrograms()
    const { keys, s3, consoleOrigin } = programs
    const { page, wrongs } = await openPage(browser, consoleOrigin)
    const checkLook = async () => expect(await accessibilityViolations(page)).toEqual([])
    const download = () => s3.send(new GetObjectCommand(OBJECT))
    await logIn(page, programs.apiKey.toString())

    // A key of the visitor's own.
    await page.getByRole('button', { name: 'Create key' }).click()
    await page.getByRole('dialog').getByLabel('Name').fill(KEY)
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
    await page.getByRole('heading', { name: KEY }).waitFor()
    await rowOf(page, KEY).getByText('enabled').waitFor()
    const made = await keys.describeKey(KEY)
    expect(made.state).toBe(await stateOf(page))
    await page
      .getByText(made.createdBy ?? '')
      .first()
      .waitFor()

    // A bucket that encrypts under it, and an object.
    await page.getByRole('link', { name: 'Objects' }).click()
    await page.getByRole('button', { name: 'Create bucket' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill(BUCKET)
    await dialog.getByLabel('Default encryption').selectOption('SSE-KMS')
    await dialog.getByLabel('Key (empty').fill(KEY)
    await dialog.getByRole('button', { name: 'Create' }).click()
    await page.getByText('Default encryption: SSE-KMS').waitFor()
    const { ServerSideEncryptionConfiguration } = await s3.send(
      new GetBucketEncryptionCommand({ Bucket: BUCKET }),
    )
    const rule = ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault
    expect(rule).toMatchObject({ SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KEY })
    await page.getByRole('button', { name: 'Upload' }).click()
    await dialog.getByLabel('Files').setInputFiles(FILE)
    await dialog.getByRole('button', { name: 'Upload' }).click()
    await page.getByRole('link', { name: FILE.name }).waitFor()
    expect(await rowOf(page, FILE.name).textContent()).toContain(`SSE-KMS ${KEY}`)
    const head = await s3.send(new HeadObjectCommand(OBJECT))
    expect(head).toMatchObject({ ContentLength: FILE.buffer.length, ServerSideEncryption: 'aws:kms' })
    const stored = await (await download()).Body?.transformToByteArray()
    expect(sha256(stored ?? new Uint8Array())).toBe(sha256(FILE.buffer))
    await checkLook()

    await page.getByRole('link', { name: FILE.name }).click()
    await page.getByText('The chain opens, down to the content.').waitFor()
    expect(sha256(await saved(page, 'Download'))).toBe(sha256(FILE.buffer))

    // Locked elsewhere: the page knows it by itself, and gets no byte any more.
    await keys.disableKey(KEY)
    await page.getByText('The chain breaks at the EK: the key is disabled.').waitFor()
    await page.getByRole('button', { name: 'Download' }).click()
    await page.getByText('The download failed.').waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('disabled')
    await expect(download()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } })
    await checkLook()

    // Resumed here.
    await page.getByRole('link', { name: KEY, exact: true }).click()
    expect(await stateOf(page)).toBe((await keys.describeKey(KEY)).state)
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('button', { name: 'Disable' }).waitFor()
    expect((await keys.describeKey(KEY)).state).toBe('enabled')
    await page.goBack()
    await page.getByText('The chain opens, down to the content.').waitFor()
    expect(sha256(await saved(page, 'Download'))).toBe(sha256(FILE.buffer))

    // Erased, after a look at what that costs.
    await page.getByRole('link', { name: KEY, exact: true }).click()
    await page.getByRole('button', { name: 'Delete …' }).click()
    await dialog.getByText('1 object (293 KiB)').waitFor()
    await dialog.getByText(`${BUCKET}/${FILE.name}`).waitFor()
    await dialog.getByLabel('Now, with a signed receipt').check()
    await dialog.getByLabel('Type the name').fill(KEY)
    await dialog.getByRole('button', { name: 'Erase for good' }).click()
    await page.getByRole('heading', { name: 'Receipt of the erasure' }).waitFor()
    expect(await stateOf(page)).toBe('erased')
    await expect(keys.describeKey(KEY)).rejects.toMatchObject({ code: 'KeyNotFound' })
    const receipt = (await saved(page, 'Download receipt')).toString()
    const publicKey = createPublicKey(readFileSync(programs.journalPublicKeyFile))
    expect(verifyReceipt(receipt, publicKey)).toMatchObject({
      name: KEY,
      erased_by: programs.apiKey.identity,
    })
    const history = JSON.parse((await saved(page, 'Download history')).toString())
    const actions = await Array.fromAsync(keys.keyHistory(KEY), ({ action }) => action)
    expect(actions).toEqual(['create', 'disable', 'enable', 'erase'])
    expect(history.entries.map(({ action }: { action: string }) => action)).toEqual(actions)
    await checkLook()

    await page.getByRole('link', { name: 'Objects' }).click()
    await page.getByRole('link', { name: BUCKET }).click()
    await page.getByRole('link', { name: FILE.name }).click()
    await page.getByText('The chain breaks at the EK: the key is erased.').waitFor()
    await page.getByRole('button', { name: 'Download' }).click()
    await page.getByText('The download failed.').waitFor()
    await expect(download()).rejects.toThrow()
    await checkLook()

    expect(wrongs).toEqual([])
  },
)
