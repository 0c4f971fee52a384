/** A recorded session as an SVG whose lines appear as they did; where nothing may move, all of them stand there. */
import type { Entry } from './session.ts'

const COLUMNS = 100
const CHARACTER_PX = 7.8
const LINE_PX = 19
const PADDING_PX = 18
/** What a reader takes for a command, and for its output. */
const READ_MS = 1100

interface Line {
  readonly text: string
  readonly remark?: string
  readonly kind: 'command' | 'output' | 'failure'
  readonly atMs: number
}

export function drawSession(entries: readonly Entry[]): string {
  const lines = layOut(entries)
  const width = Math.ceil(COLUMNS * CHARACTER_PX + 2 * PADDING_PX)
  const height = lines.length * LINE_PX + 2 * PADDING_PX
  const texts = lines.map((line, index) => draw(line, PADDING_PX + (index + 0.75) * LINE_PX))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>A key is made, locked, enabled and erased, and an object under it read each time</title>
<style>
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: #d6deeb; animation: show 1ms linear both }
.command { fill: #ffffff; font-weight: 600 } .failure { fill: #ff8a80 } .remark { fill: #7f8ea3; font-weight: 400 } .prompt { fill: #7fdb8f }
@keyframes show { from { opacity: 0 } to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { text { animation: none } }
</style>
<rect width="100%" height="100%" rx="10" fill="#10161f"/>
${texts.join('\n')}
</svg>
`
}

function layOut(entries: readonly Entry[]): Line[] {
  const lines: Line[] = []
  let atMs = 0
  for (const { command, remark, output, failed, ms } of entries) {
    lines.push({ text: command, ...(remark === undefined ? {} : { remark }), kind: 'command', atMs })
    atMs += ms
    for (const text of output.flatMap(wrap)) lines.push({ text, kind: failed ? 'failure' : 'output', atMs })
    atMs += READ_MS
  }
  return lines
}

/** Between words, where there are any. */
function wrap(text: string): string[] {
  if (text.length <= COLUMNS) return [text]
  const space = text.lastIndexOf(' ', COLUMNS)
  const at = space > 0 ? space : COLUMNS
  return [text.slice(0, at), ...wrap(text.slice(at).trimStart())]
}

function draw({ text, remark, kind, atMs }: Line, y: number): string {
  const prompt = kind === 'command' ? '<tspan class="prompt">$ </tspan>' : ''
  const behind = remark === undefined ? '' : `<tspan class="remark">   # ${escapeXml(remark)}</tspan>`
  const delay = `animation-delay:${(atMs / 1000).toFixed(2)}s`
  return `<text x="${PADDING_PX}" y="${y}" class="${kind}" style="${delay}">${prompt}${escapeXml(text)}${behind}</text>`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
