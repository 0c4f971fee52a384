/** The demo as a person reads it, step by step, and as a script does. */
import { styleText } from 'node:util'
import type { StepResult } from './step.ts'

const COLUMNS = 100
const INDENT = '     '

export function heading(): string {
  return `\n  ${styleText('bold', 'A key locks, resumes and erases real data')}\n`
}

/** @param number - from 1. */
export function stepText(step: StepResult, number: number): string {
  const { title, proves, commands, claims, exhibits, ok, ms } = step
  const time = timeOf(ms)
  const head = `${String(number).padStart(3)}  ${title}`
  const mark = ok ? '' : ' FAILED'
  const lines = [
    `${styleText('bold', head)}${styleText(['bold', 'red'], mark)}${time.padStart(COLUMNS - head.length - mark.length)}`,
    ...commands.map((command) => INDENT + styleText('cyan', `$ ${command}`)),
    ...(exhibits.length === 0
      ? []
      : ['', ...exhibits.map((line) => `${INDENT}  ${styleText('dim', line)}`.trimEnd()), '']),
    ...claims.flatMap(({ claim, holds, found }) => [
      INDENT + (holds ? `${styleText('green', '✓')} ${claim}` : `${styleText('red', '✗')} ${claim}`),
      ...(found === undefined ? [] : [`${INDENT}  found: ${found}`]),
    ]),
    ...(ok ? [INDENT + styleText('yellow', `→ ${proves}`)] : []),
  ]
  return `\n${lines.join('\n')}\n`
}

export function summary(steps: readonly StepResult[], totalMs: number): string {
  const isGood = steps.every(({ ok }) => ok)
  const text = isGood
    ? `${steps.length} steps, ${steps.flatMap(({ claims }) => claims).length} claims, all hold. ${timeOf(totalMs)}`
    : `The step '${steps.at(-1)?.title}' did not go as it should. ${timeOf(totalMs)}`
  const hint = isGood ? `\n  To try it yourself: npm start\n` : ''
  return `\n  ${styleText(['bold', isGood ? 'green' : 'red'], text)}\n${hint}\n`
}

/** One document. */
export function report(steps: readonly StepResult[], totalMs: number): string {
  const document = {
    ok: steps.every(({ ok }) => ok),
    total_ms: rounded(totalMs),
    steps: steps.map(({ ms, ...step }) => ({ ...step, ms: rounded(ms) })),
  }
  return `${JSON.stringify(document, undefined, 2)}\n`
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}

function timeOf(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
