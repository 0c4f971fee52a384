import { defineConfig } from 'vitest/config'

/** Milliseconds on a machine that does nothing else; on a busy one, properties with many runs take longer. */
function unitTests(name: string, folder = 'src') {
  return { test: { name, include: [`packages/${name}/${folder}/**/*.test.ts`], testTimeout: 30_000 } }
}

/** One project for each part of CI, so that each part's time can be told apart. */
export default defineConfig({
  test: {
    projects: [
      unitTests('kms-client'),
      unitTests('kes-server'),
      unitTests('storage-node'),
      unitTests('console', '{page,server}'),
      unitTests('play'),
      { test: { name: 'repository', include: ['test/repository/**/*.test.ts', 'bench/**/*.test.ts'] } },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts', 'examples/vitest/**/*.test.ts'],
          exclude: ['test/repository/**'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
