// The pinned pnpm. Not `packageManager` in package.json: pnpm would then want itself in the lockfile, with a registry's
// answer. Plain JavaScript, as setup.mjs needs it.
export const PNPM = 'pnpm@12.21.0'
