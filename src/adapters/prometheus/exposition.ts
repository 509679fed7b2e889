// What a scrape gets: rendered from memory in slices between which the process does its other work.

import type { CounterEntry, DurableCounters, HeldRegisters } from '../../adapter-kit/durable-counters.ts'
import type { ExposedPart } from '../../adapter-kit/exposed-part.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { ExpositionText } from './exposition-text.ts'
import type { MetricDefinition } from './metric-definition.ts'

/** How long the process does nothing else at once. */
const SLICE_MS = 2
/** Characters after which the time is looked at. */
const PIECE_CHARS = 16 * 1024
/** A longer text is made anew for each scrape. */
const MAX_KEPT_CHARS = 8 * 1024 * 1024

export interface ExpositionOptions {
  readonly metrics: readonly MetricDefinition[]
  readonly text: ExpositionText
  readonly counters: DurableCounters
  readonly clock: Clock
  /** Series that have not changed for this long are left out. */
  readonly expiryMs: number
  /** Told with each rendering how long it has been uncertain, in milliseconds, that the registers are this process's. */
  readonly onRendered: (series: number, staleMs: number) => void
}

interface Rendering {
  readonly parts: readonly ExposedPart[]
  readonly revision: number
  /** When the first of its series is over, in milliseconds since the epoch. */
  readonly until: number
  readonly series: number
  readonly chars: number
}

export class Exposition {
  readonly #options: ExpositionOptions
  /** Labels as text: making them costs the most. */
  readonly #labels = new WeakMap<CounterEntry, string>()
  #kept: Rendering | undefined
  #underWay: Promise<Rendering> | undefined

  constructor(options: ExpositionOptions) {
    this.#options = options
  }

  /** Scrapes at the same time share one rendering, and so do those between which nothing has changed. */
  async render(): Promise<readonly ExposedPart[]> {
    const { counters, clock, onRendered } = this.#options
    const held = await counters.held()
    const { parts, series } = await this.#current(held)
    onRendered(series, held.staleMs)
    if (held.staleMs === 0) return parts
    const seconds = Math.round(held.staleMs / 1000)
    const note = `# Redis has not answered for ${seconds} s: the counts are those of ${new Date(clock.now() - held.staleMs).toISOString()} and what this process has counted since.\n`
    return [...parts, { key: '', head: note, body: [] }]
  }

  async #current(held: HeldRegisters): Promise<Rendering> {
    const kept = this.#kept
    if (kept?.revision === held.revision && kept.until > this.#options.clock.now()) return kept
    this.#underWay ??= this.#render(held).finally(() => {
      this.#underWay = undefined
    })
    return await this.#underWay
  }

  async #render({ registers, revision }: HeldRegisters): Promise<Rendering> {
    const { metrics, text, clock, expiryMs } = this.#options
    const oldest = clock.now() - expiryMs
    const parts: ExposedPart[] = []
    let until = Number.POSITIVE_INFINITY
    let [series, chars] = [0, 0]
    let sliceStart = clock.monotonic()
    for (const metric of metrics) {
      const body: string[] = []
      let piece = ''
      for (const [register, groups] of registers) {
        for (const entry of groups.get(metric.group.name)?.values() ?? []) {
          if (entry.changedAt < oldest) continue
          until = Math.min(until, entry.changedAt + expiryMs)
          series++
          piece += text.lines(metric, this.#labelsOf(metric, entry, register), entry)
          if (piece.length < PIECE_CHARS) continue
          chars += piece.length
          body.push(piece)
          piece = ''
          if (clock.monotonic() - sliceStart < SLICE_MS) continue
          await new Promise<void>((resolve) => void clock.turn(resolve))
          sliceStart = clock.monotonic()
        }
      }
      if (piece !== '') body.push(piece)
      chars += piece.length
      if (body.length > 0) parts.push({ key: metric.name, head: text.head(metric), body })
    }
    const rendering = { parts, revision, until, series, chars }
    this.#kept = chars > MAX_KEPT_CHARS ? undefined : rendering
    return rendering
  }

  #labelsOf(metric: MetricDefinition, entry: CounterEntry, register: string): string {
    let labels = this.#labels.get(entry)
    if (labels === undefined) {
      labels = this.#options.text.labels(metric, entry.field, register)
      this.#labels.set(entry, labels)
    }
    return labels
  }
}
