import { expect, test } from 'vitest'
import { ConsoleMissingError, loadConsole } from './load-console.ts'

test('the package of the console is loaded by its name', async () => {
  expect(await loadConsole()).toMatchObject({ startConsole: expect.any(Function) })
})

test('a package that is not installed is told with what to do', async () => {
  const error = await loadConsole('@latchkey/absent').catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ConsoleMissingError)
  expect(String(error)).toContain(
    "the console is the package '@latchkey/absent', which is not installed: npm install @latchkey/absent",
  )
})
