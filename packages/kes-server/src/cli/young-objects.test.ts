import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

const MODULE = new URL('./young-objects.ts', import.meta.url).href

/** MB that V8 has for new objects when many of them have lived on for a while. */
function grown(isLimited: boolean): number {
  const program = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { setTimeout as delay } from 'node:timers/promises'
    if (${isLimited}) (await import(${JSON.stringify(MODULE)})).limitYoungObjects()
    for (let round = 0; round < 60; round += 1) {
      const living = []
      for (let count = 0; count < 60_000; count += 1) living.push({ count, self: [count] })
      await delay(50)
    }
    const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    console.log(space_size / 1e6)`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  return Number(stdout)
}

test('V8 takes no more and more memory for new objects', () => {
  expect(grown(true)).toBeLessThan(grown(false) / 1.5)
})
