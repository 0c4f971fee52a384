/** Families of metrics, and Prometheus's text format of them, version 0.0.4. */
import { TIME_BUCKETS_SECONDS } from './metrics.ts'

export type Kind = 'counter' | 'gauge' | 'histogram'

export interface Sample {
  readonly labels: readonly (readonly [string, string])[]
  readonly value: number
}

export interface Histogram {
  /** Cumulative counts, one for each bucket of {@link TIME_BUCKETS_SECONDS}. */
  readonly cumulative: readonly number[]
  readonly count: number
  readonly sum: number
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly kind: Kind
  readonly samples: readonly Sample[]
  readonly histogram?: Histogram
}

export function textOf(families: readonly Family[]): string {
  const lines: string[] = []
  for (const family of families) {
    lines.push(`# HELP ${family.name} ${family.help}`, `# TYPE ${family.name} ${family.kind}`)
    if (family.histogram === undefined) {
      for (const { labels, value } of family.samples)
        lines.push(`${family.name}${labelText(labels)} ${value}`)
      continue
    }
    const { cumulative, count, sum } = family.histogram
    for (const [index, bound] of TIME_BUCKETS_SECONDS.entries()) {
      lines.push(`${family.name}_bucket{le="${bound}"} ${cumulative[index]}`)
    }
    lines.push(`${family.name}_bucket{le="+Inf"} ${count}`)
    lines.push(`${family.name}_sum ${sum}`, `${family.name}_count ${count}`)
  }
  return `${lines.join('\n')}\n`
}

function labelText(labels: Sample['labels']): string {
  if (labels.length === 0) return ''
  return `{${labels.map(([name, value]) => `${name}="${value}"`).join(',')}}`
}
