/** What `kes --version` prints. The server's banner begins with the same rows. */
import { arch, platform } from 'node:os'
import { VERSION } from '../version.ts'

/** Operating systems and processors as KES names them. */
const NAMES: Readonly<Record<string, string>> = { win32: 'windows', x64: 'amd64', ia32: '386' }

/** Label, value and what belongs to it. */
export const ABOUT: readonly (readonly [label: string, value: string, extra?: string])[] = [
  ['Version', VERSION.version, `commit=${VERSION.commit}`],
  [
    'Runtime',
    `node ${process.versions.node} ${NAMES[platform()] ?? platform()}/${NAMES[arch()] ?? arch()}`,
    'compiler=v8',
  ],
  ['License', 'Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0'],
  ['Copyright', 'The Latchkey authors'],
]

export function aboutText(): string {
  const [labels, values] = [10, Math.max(...ABOUT.map(([, value]) => value.length)) + 3]
  const lines = ABOUT.map(
    ([label, value, extra]) =>
      `${label.padEnd(labels + 1)}${extra === undefined ? value : value.padEnd(values) + extra}`,
  )
  return `${lines.join('\n')}\n`
}
