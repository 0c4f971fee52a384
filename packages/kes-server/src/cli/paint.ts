/** Colours, on terminals only. https://no-color.org turns them off, `--color` wins over both. */
import { styleText } from 'node:util'
import type { Environment } from '../config/env.ts'
import type { Output } from './io.ts'

export const COLOR_MODES = ['always', 'auto', 'never'] as const
export type ColorMode = (typeof COLOR_MODES)[number]
export type Style = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim'

export function paint(
  style: Style,
  text: string,
  output: Output,
  env: Environment,
  mode: ColorMode = 'auto',
): string {
  return hasColor(output, env, mode) ? styleText(style, text, { validateStream: false }) : text
}

function hasColor({ isTerminal }: Output, env: Environment, mode: ColorMode): boolean {
  if (mode !== 'auto') return mode === 'always'
  return isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'
}
