/** The program of a {@link ChildCore}: ends with its IPC channel, and does what it is told over it until then. */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// JavaScript, so that Node need not load what makes it out of TypeScript. The cache saves a quarter of the time to start; it
// is in the package's own folder, not the shared one of the system.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url)))

await import('./child-server.ts')
