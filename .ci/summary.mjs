// Prints the time of each part and, as its last line, the count that the runner itself reported.
import { existsSync, readFileSync } from 'node:fs'

const [reportFile = '', status = '1'] = process.argv.slice(2)
if (!existsSync(reportFile)) {
  console.log('The test runner wrote no report.')
  process.exit(Number(status) || 1)
}
const report = JSON.parse(readFileSync(reportFile, 'utf8'))

/** The part of the product that a test file belongs to, by where it stands. */
function partOf(file) {
  if (/\/packages\/kms-client\/|\/test\/kms-client\/|\/test\/testing\/|\/examples\//.test(file))
    return 'client'
  if (/\/packages\/storage-node\/|\/test\/storage-node\//.test(file)) return 'node'
  if (/\/packages\/(?:play|console)\/|\/test\/(?:play|console)\//.test(file)) return 'play'
  if (/\/test\/(?:audit|faults|locking|workers)\//.test(file)) return 'lock'
  return 'server'
}

const parts = new Map()
for (const { name, startTime, endTime, assertionResults } of report.testResults) {
  const part = parts.get(partOf(name)) ?? { files: 0, tests: 0, seconds: 0 }
  part.files += 1
  part.tests += assertionResults.length
  part.seconds += (endTime - startTime) / 1000
  parts.set(partOf(name), part)
}
console.log('\nTime of each part (seconds of test files, which run side by side):')
for (const [name, { files, tests, seconds }] of parts) {
  console.log(`  ${name.padEnd(8)} ${seconds.toFixed(1).padStart(7)} s   ${tests} tests in ${files} files`)
}
for (const { fullName } of report.testResults
  .flatMap((file) => file.assertionResults)
  .filter((test) => test.status === 'pending' || test.status === 'skipped')) {
  console.log(`  skipped: ${fullName}`)
}

const skipped = report.numPendingTests + report.numTodoTests
const failed = report.numFailedTests + (report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? 1 : 0)
console.log(`\n${report.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(Number(status) || (failed > 0 ? 1 : 0))
