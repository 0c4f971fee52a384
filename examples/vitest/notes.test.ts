// What the application does when the key is locked, erased, or when the key server is down, slow or broken.
import { kesTest } from '@latchkey/kms-client/testing/vitest'
import { expect } from 'vitest'
import { Notes } from './notes.ts'

const test = kesTest({ keys: ['notes'] }).extend<{ notes: Notes }>({
  notes: async ({ kes }, use) => {
    const notes = new Notes(kes.client, 'notes')
    await notes.write('monday', 'buy milk')
    await use(notes)
  },
})

test('a note is read as it was written, with one call for each', async ({ kes, notes }) => {
  expect(await notes.read('monday')).toBe('buy milk')

  const requests = await kes.requests()
  expect(requests.map(({ path, status }) => `${path} ${status}`)).toEqual([
    '/v1/key/generate/notes 200',
    '/v1/key/decrypt/notes 200',
  ])
})

test('locked: notes can be neither read nor written, until the key is unlocked', async ({ kes, notes }) => {
  await kes.lock('notes')
  await expect(notes.read('monday')).rejects.toMatchObject({ reason: 'locked' })
  await expect(notes.write('tuesday', 'run')).rejects.toMatchObject({ reason: 'locked' })

  await kes.unlock('notes')
  expect(await notes.read('monday')).toBe('buy milk')
})

test('erased: notes are lost, and stay lost with a new key of the same name', async ({ kes, notes }) => {
  await kes.erase('notes')
  await expect(notes.read('monday')).rejects.toMatchObject({ reason: 'lost' })

  await kes.create('notes')
  await expect(notes.read('monday')).rejects.toMatchObject({ reason: 'lost' })
})

test('down: the note is unavailable, and there again when the server is', async ({ kes, notes }) => {
  const outage = await kes.faults.refuse()
  await expect(notes.read('monday')).rejects.toMatchObject({ reason: 'unavailable' })

  await outage.clear()
  expect(await notes.read('monday')).toBe('buy milk')
})

test('slow: a late answer is waited for', async ({ kes, notes }) => {
  await kes.faults.latency({ ms: 30, jitterMs: 20 })
  expect(await notes.read('monday')).toBe('buy milk')
})

test('slow: an answer that never comes is not waited for', async ({ kes, notes }) => {
  await kes.faults.hang({ paths: '/v1/key/decrypt/*' })
  await expect(notes.read('monday', 100)).rejects.toMatchObject({ reason: 'unavailable' })
})

test('broken: an error of the server is not taken for a lost note', async ({ kes, notes }) => {
  await kes.faults.error({ status: 500 })
  await expect(notes.read('monday')).rejects.toMatchObject({ reason: 'unavailable' })
})

test('broken: a note whose key never came whole is not stored', async ({ kes, notes }) => {
  await kes.faults.reset({ paths: '/v1/key/generate/*' })
  await expect(notes.write('tuesday', 'run')).rejects.toMatchObject({ reason: 'unavailable' })
  await expect(notes.read('tuesday')).rejects.toThrow("there is no note 'tuesday'")
})
