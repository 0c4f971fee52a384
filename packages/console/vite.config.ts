import { defineConfig } from 'vite'

export default defineConfig({
  root: 'page',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    // Browsers of the years in which Ed25519 came to WebCrypto; older ones can't log in anyway.
    target: ['chrome137', 'firefox130', 'safari18'],
    // The policy of the console's server lets no data: through but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
