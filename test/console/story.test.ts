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
    const key = dialog.getByLabel('Key', { exact: true })
    expect(await key.getAttribute('required')).not.toBeNull()
    await key.fill(KEY)
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
    expect(await page.getByRole('alert').textContent()).toContain('The object’s key is locked')
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
    await page.getByText('The object’s key was erased.').waitFor()
    await expect(download()).rejects.toThrow()
    await checkLook()

    // The receipt is there in the next session, too.
    await page.getByRole('button', { name: 'Log out' }).click()
    await logIn(page, programs.apiKey.toString())
    await page.getByRole('link', { name: KEY, exact: true }).click()
    await page.getByText('There is no key of this name.').waitFor()
    expect(JSON.parse((await saved(page, 'Download receipt')).toString())).toEqual(JSON.parse(receipt))
    await checkLook()

    expect(wrongs).toEqual([])
  },
)

browserTest(
  'import, lock, a deletion for later and its end do what the page says they did',
  async (browser) => {
    await using programs = await startPrograms()
    const { keys, consoleOrigin } = programs
    const { page, wrongs } = await openPage(browser, consoleOrigin)
    await logIn(page, programs.apiKey.toString())
    const dialog = page.getByRole('dialog')
    const stateNow = async () => (await keys.describeKey('letters')).state

    const bytes = randomBytes(32)
    await page.getByRole('button', { name: 'Import' }).click()
    await dialog.getByLabel('Name').fill('letters')
    await dialog.getByLabel('Key, 32 bytes').fill(bytes.subarray(1).toString('base64'))
    await dialog.getByRole('button', { name: 'Import' }).click()
    await dialog.getByRole('alert').waitFor()
    await dialog.getByLabel('Key, 32 bytes').fill(bytes.toString('base64'))
    await dialog.getByRole('button', { name: 'Import' }).click()
    await page.getByRole('heading', { name: 'letters' }).waitFor()
    expect((await keys.describeKey('letters')).algorithm).toBe('AES256')
    await page.locator('.timeline').getByText('import').waitFor()

    await page.getByRole('button', { name: 'Disable' }).click()
    await page.getByRole('button', { name: 'Enable' }).waitFor()
    expect(await stateNow()).toBe('disabled')

    await page.getByRole('button', { name: 'Delete …' }).click()
    await dialog.getByText('No object of the storage node').waitFor()
    await dialog.getByLabel('Days until it is erased').fill('30')
    await dialog.getByLabel('Type the name').fill('letters')
    await dialog.getByRole('button', { name: 'Schedule deletion' }).click()
    await page.getByText('Will be erased', { exact: true }).waitFor()
    const { state, deletionAt = '' } = await keys.describeKey('letters')
    expect(state).toBe('pending')
    const shown = await page.locator('.facts time').first().getAttribute('datetime')
    expect(Date.parse(shown ?? '')).toBe(Date.parse(deletionAt))

    await page.getByRole('button', { name: 'Cancel deletion' }).click()
    await page.getByRole('button', { name: 'Enable' }).waitFor()
    expect(await stateNow()).toBe('disabled')

    await page.getByRole('button', { name: 'Create key' }).click()
    await dialog.getByLabel('Name').fill('letters')
    await dialog.getByRole('button', { name: 'Create' }).click()
    expect(await dialog.getByRole('alert').textContent()).toContain('exists already')
    expect(wrongs).toEqual([])
  },
)

browserTest('who may do little is told so in each view, and what is allowed works', async (browser) => {
  await using programs = await startPrograms()
  const { page, wrongs } = await openPage(browser, programs.consoleOrigin)
  await logIn(page, programs.limitedApiKey.toString())
  const refusal = page.getByText('Your policy does not allow this.').first()

  await refusal.waitFor()
  await page.getByText('not live').waitFor()
  await page.getByRole('button', { name: 'Create key' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('my-own')
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
  await page.getByText('Key my-own was created.').waitFor()
  expect((await programs.keys.describeKey('my-own')).createdBy).toBe(programs.limitedApiKey.identity)

  for (const view of ['Activity', 'Access']) {
    await page.getByRole('link', { name: view }).click()
    await refusal.waitFor()
  }
  await page.getByRole('link', { name: 'Objects' }).click()
  await page.getByText('Only the admin may look into the storage node').waitFor()

  await page.getByRole('link', { name: 'Access' }).click()
  await page.getByLabel('Path').fill('/v1/key/delete/my-own')
  await page.getByLabel('Method').selectOption('DELETE')
  await page.getByRole('button', { name: 'Ask' }).click()
  await page
    .getByRole('status')
    .getByText(/Denied|does not allow/)
    .or(page.getByRole('alert'))
    .first()
    .waitFor()
  await page.getByRole('button', { name: 'Log out' }).click()

  await logIn(page, programs.apiKey.toString())
  await page.getByRole('link', { name: 'Access' }).click()
  await page.getByLabel('Identity', { exact: true }).fill(programs.limitedApiKey.identity)
  await page.getByLabel('Path').fill('/v1/key/generate/my-own')
  await page.getByRole('button', { name: 'Ask' }).click()
  await page.getByText("rule '/v1/key/generate/*' of policy 'node' allows it").waitFor()
  expect(wrongs).toEqual([])
})
