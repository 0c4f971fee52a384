import { defineConfig } from 'vitest/config'

/** One project for each part of CI, so that each part's time can be told apart. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'kms-client', include: ['packages/kms-client/src/**/*.test.ts'] } },
      { test: { name: 'kes-server', include: ['packages/kes-server/src/**/*.test.ts'] } },
      { test: { name: 'storage-node', include: ['packages/storage-node/src/**/*.test.ts'] } },
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
