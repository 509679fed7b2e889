// The children of one metric by their label values: each is made once, and there is a bound on how many there can be.

import { IntermixError } from '../kernel/errors.ts'
import type { Children, Labels, Metric } from '../kernel/metrics/metric.ts'

/** What every label of the child is called that takes the values beyond the bound. */
const OVERFLOW_VALUE = 'overflow'

export interface ChildrenOptions<L extends Labels, T> {
  readonly metric: Metric<L>
  /** Makes the child of these values, which come in the order of the metric's labels. */
  readonly create: (values: readonly string[]) => T
  /** Bound on the children; further values share one more, all of whose labels are `overflow`. */
  readonly max: number
}

/** Label values as a caller gave them: adapters of others are not held to types. */
type Given = Readonly<Record<string, string>>

/** One step of a look-up: by the value of one label to the next step, and by that of the last to a child. */
type Step = Map<string, unknown>

/**
 * Resolves label values to children, without an allocation where the child exists.
 * @returns a function that throws IntermixError INTERNAL where a label has no value
 */
export function createChildren<L extends Labels, T>({ metric, create, max }: ChildrenOptions<L, T>): Children<L, T> {
  const labels = Object.keys(metric.labels)
  const last = labels.at(-1)
  const before = labels.slice(0, -1)
  if (last === undefined) {
    const only = create([])
    return () => only
  }
  const first: Step = new Map()
  let size = 0
  let overflow: T | undefined

  const make = (given: Given): T => {
    const values = labels.map((label) => given[label])
    if (!values.every((value) => typeof value === 'string')) {
      throw new IntermixError('INTERNAL', `metric ${metric.name} needs a value for each of: ${labels.join(', ')}`)
    }
    if (size >= max) return (overflow ??= create(values.map(() => OVERFLOW_VALUE)))
    const child = create(values)
    put(first, values, child)
    size++
    return child
  }

  const resolve = (given: Given = {}): T => {
    let step: Step | undefined = first
    for (const label of before) {
      step = step.get(given[label] as string) as Step | undefined
      if (step === undefined) return make(given)
    }
    return (step.get(given[last] as string) as T | undefined) ?? make(given)
  }
  return resolve
}

function put(first: Step, values: readonly string[], child: unknown): void {
  let step = first
  for (const value of values.slice(0, -1)) {
    let next = step.get(value) as Step | undefined
    if (next === undefined) {
      next = new Map()
      step.set(value, next)
    }
    step = next
  }
  step.set(values.at(-1) ?? '', child)
}
