// Finds fields that make nearly every key unique (a request id, a time): such keys are never asked for twice, so their
// verdicts only fill Redis. They are named, and kept out of the mesh tier until the traffic changes.

import { LRUCache } from 'lru-cache'
import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { CACHE_UNIQUE_KEYS } from '../kernel/metrics/cache.ts'
import type { Gauge, Logger, Meter } from '../kernel/ports.ts'
import { canonicalField } from './instance-key.ts'
import { textHash } from './text-hash.ts'

/** Local misses looked at before a judgement, which then holds for as many. */
const SAMPLE = 20_000
/** Above this share of distinct values a field is taken for unique. */
const UNIQUE_SHARE = 0.9
/** A counter takes 2 KiB: with its fields an instance takes 34 KiB at most, and all together 7 MiB. */
const MAX_INSTANCES = 200
const MAX_FIELDS = 16
const BITS = 1 << 14

/**
 * Estimates how many distinct texts it was shown, by linear counting (Whang, Vander-Zanden, Taylor, TODS 1990): exact
 * to about a percent at 20 000 texts, of which 5 000 bits are left then.
 */
class DistinctCounter {
  readonly #bits = new Uint32Array(BITS / 32)

  add(text: string): void {
    const bit = textHash(text, 0) & (BITS - 1)
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) | (1 << (bit & 31))
  }

  estimate(): number {
    let zeros = BITS
    for (let word of this.#bits) for (; word !== 0; word &= word - 1) zeros--
    return zeros === 0 ? BITS * 12 : -BITS * Math.log(zeros / BITS)
  }
}

interface Sample {
  keys: DistinctCounter
  fields: Map<string, DistinctCounter>
  seen: number
  barred: boolean
  readonly gauge: Gauge
}

export class KeyCardinality {
  /** Those whose keys were not asked for longest make room: configs change. */
  readonly #samples = new LRUCache<string, Sample>({
    max: MAX_INSTANCES,
    dispose: ({ gauge }) => gauge.set(0),
  })
  readonly #log: Logger
  readonly #gauge: (labels: { handler: string; instance: string }) => Gauge

  constructor(log: Logger, meter: Meter) {
    this.#log = log
    this.#gauge = meter.gauge(CACHE_UNIQUE_KEYS)
  }

  /** Counts a key that was missed locally, and tells whether the instance's verdicts belong into the mesh tier. */
  allowsMesh(instance: Instance, handler: string, key: string): boolean {
    const sample = this.#sample(instance.name, handler)
    sample.seen++
    sample.keys.add(key)
    for (const [path, value] of leaves(instance.fields, '')) {
      let values = sample.fields.get(path)
      if (values === undefined) {
        if (sample.fields.size >= MAX_FIELDS) break
        values = new DistinctCounter()
        sample.fields.set(path, values)
      }
      values.add(canonicalField(value))
    }
    if (sample.seen >= SAMPLE) this.#judge(instance.name, handler, sample)
    return !sample.barred
  }

  #sample(instance: string, handler: string): Sample {
    const id = `${handler}\n${instance}`
    let sample = this.#samples.get(id)
    if (sample === undefined) {
      const gauge = this.#gauge({ handler, instance })
      sample = { keys: new DistinctCounter(), fields: new Map(), seen: 0, barred: false, gauge }
      this.#samples.set(id, sample)
    }
    return sample
  }

  #judge(instance: string, handler: string, sample: Sample): void {
    const limit = UNIQUE_SHARE * sample.seen
    const barred = sample.keys.estimate() > limit
    if (barred && !sample.barred) {
      const fields = [...sample.fields].filter(([, values]) => values.estimate() > limit).map(([path]) => path)
      this.#log.warn(
        { handler, instance, fields },
        'nearly every check has a key of its own, so caching cannot help: take these fields out of the instance',
      )
    }
    sample.barred = barred
    sample.gauge.set(barred ? 1 : 0)
    sample.keys = new DistinctCounter()
    sample.fields = new Map()
    sample.seen = 0
  }
}

function* leaves(fields: Readonly<Record<string, FieldValue>>, prefix: string): Generator<[path: string, FieldValue]> {
  for (const [name, value] of Object.entries(fields)) {
    const path = prefix === '' ? name : `${prefix}.${name}`
    const nested = typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype
    if (nested) yield* leaves(value as Readonly<Record<string, FieldValue>>, path)
    else yield [path, value]
  }
}
