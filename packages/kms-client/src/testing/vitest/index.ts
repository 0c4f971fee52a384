/** A key server as a vitest fixture. */
import { type TestAPI, test } from 'vitest'
import type { KesSandbox } from '../sandbox.ts'
import { type StartKesOptions, startKes } from '../start-kes.ts'

export interface KesFixture {
  /** A server of this test's own: it starts when a test asks for it, and ends with the test. */
  readonly kes: KesSandbox
}

/**
 * vitest's `test`, with a key server for each test that asks for one. It can be extended further.
 *
 *     const test = kesTest({ keys: ['orders'] })
 *
 *     test('a locked key is reported', async ({ kes }) => {
 *       await kes.lock('orders')
 *     })
 */
export function kesTest(options: StartKesOptions = {}): TestAPI<KesFixture> {
  return test.extend<KesFixture>({
    // vitest reads what a fixture needs from the pattern, and refuses another kind of parameter.
    kes: async ({ task: _ }, use) => {
      await using kes = await startKes(options)
      await use(kes)
    },
  })
}
