import { expect, test } from 'vitest'
import { cpuMicrosPerRequest, statFields, statusNumber } from './process-usage.ts'

test('a process whose name looks like other fields is read rightly', () => {
  const fields = statFields('42 (a) 1 (b) S 7 42 42 0 -1 4194560 51734 0 1 0 130 80 0 0 20 0 7 0 325512')
  expect(fields[0]).toBe('S')
  expect(fields[1]).toBe('7')
  expect(fields.slice(11, 13)).toEqual(['130', '80'])
})

test('a number of the status is found by its whole name, and a missing one is 0', () => {
  const status = 'Name:\tnode\nVmHWM:\t   41848 kB\nVmRSS:\t   40000 kB\nThreads:\t7\n'
  expect(statusNumber(status, 'VmRSS')).toBe(40_000)
  expect(statusNumber(status, 'Threads')).toBe(7)
  expect(statusNumber(status, 'Vm')).toBe(0)
})

test('the CPU time of a request is unknown if one of the looks failed', () => {
  const look = {
    cpuSeconds: 1,
    residentBytes: 0,
    peakResidentBytes: 0,
    proportionalBytes: 0,
    openFiles: 0,
    threads: 0,
  }
  expect(cpuMicrosPerRequest(undefined, look, 10)).toBeUndefined()
  expect(cpuMicrosPerRequest(look, undefined, 10)).toBeUndefined()
  expect(cpuMicrosPerRequest(look, { ...look, cpuSeconds: 1.5 }, 10_000)).toBe(50)
})
