// Latencies in buckets whose width grows with the value, as in HdrHistogram by Gil Tene: recording costs a few
// nanoseconds, and any percentile of any number of values is known to within 1 in 128.

/** Buckets for each doubling of the value. */
const STEPS = 128
const STEP_BITS = 7
const LARGEST = 2 ** 32 - 1

/** Lowest value of each bucket that is not empty, and how many values it holds. */
export interface HistogramData {
  readonly buckets: readonly (readonly [lowest: number, count: number])[]
  readonly sum: number
  readonly max: number
}

/** Counts whole numbers from 0; microseconds, where latencies are meant. What is larger than 2³² counts as that. */
export class Histogram {
  readonly #counts = new Float64Array((32 - STEP_BITS + 1) * STEPS)
  #count = 0
  #sum = 0
  #max = 0

  static of(data: HistogramData): Histogram {
    const histogram = new Histogram()
    histogram.#take(data)
    return histogram
  }

  get count(): number {
    return this.#count
  }

  get max(): number {
    return this.#max
  }

  /** 0 for no values. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }

  record(value: number): void {
    const whole = value < 0 ? 0 : value > LARGEST ? LARGEST : Math.round(value)
    const bucket = bucketOf(whole)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#count++
    this.#sum += whole
    if (whole > this.#max) this.#max = whole
  }

  /** The largest value that a share `share` of all values does not exceed, rounded up to its bucket's end; 0 for none. */
  quantile(share: number): number {
    if (this.#count === 0) return 0
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (seen >= wanted) return Math.min(this.#max, lowestOf(bucket + 1) - 1)
    }
    return this.#max
  }

  add(other: Histogram): void {
    this.#take(other.toJSON())
  }

  clear(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sum = 0
    this.#max = 0
  }

  toJSON(): HistogramData {
    const buckets = [...this.#counts.entries()]
      .filter(([, count]) => count > 0)
      .map(([bucket, count]) => [lowestOf(bucket), count] as const)
    return { buckets, sum: this.#sum, max: this.#max }
  }

  #take({ buckets, sum, max }: HistogramData): void {
    for (const [lowest, count] of buckets) {
      const bucket = bucketOf(lowest)
      this.#counts[bucket] = (this.#counts[bucket] as number) + count
      this.#count += count
    }
    this.#sum += sum
    this.#max = Math.max(this.#max, max)
  }
}

function bucketOf(value: number): number {
  if (value < STEPS) return value
  const shift = 31 - Math.clz32(value) - STEP_BITS
  return shift * STEPS + (value >>> shift)
}

function lowestOf(bucket: number): number {
  if (bucket < 2 * STEPS) return bucket
  const shift = Math.floor(bucket / STEPS) - 1
  return (bucket - shift * STEPS) * 2 ** shift
}
