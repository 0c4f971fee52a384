/**
 * Loaded in front of a program of the sandbox (`node --import`): when the process that started it has gone, however
 * that died, the program ends as it does on a signal. JavaScript, so that a program in JavaScript loads no more for it.
 */
const STOP_MAX_MS = 15_000

function end() {
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.exit(1), STOP_MAX_MS).unref()
}

// It must not keep a program running that is done.
process.channel?.unref()
process.once('disconnect', end)
if (!process.connected) end()
