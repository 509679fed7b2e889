// The metrics that a module defines, as Envoy keeps them: by number, and by a name that several VMs share.

import { Result } from './abi.ts'

const COUNTER = 0
const GAUGE = 1
const HISTOGRAM = 2
const TYPE_MASK = 3
const INCREMENT = 4

/** All VMs of one host share them. */
export class MetricValues {
  /** By name; of a histogram the number of observations. */
  readonly values = new Map<string, bigint>()

  value(name: string): number {
    return Number(this.values.get(name) ?? 0n)
  }

  add(name: string, by: bigint): void {
    this.values.set(name, (this.values.get(name) ?? 0n) + by)
  }
}

/** Those of one VM. */
export class HostMetrics {
  readonly #values: MetricValues
  readonly #names = new Map<number, string>()
  readonly #last = [COUNTER, GAUGE, HISTOGRAM]

  constructor(values: MetricValues) {
    this.#values = values
  }

  /** @returns its number, or why there is none */
  define(type: number, name: string): { readonly id: number } | Result {
    if (type > HISTOGRAM) return Result.BAD_ARGUMENT
    const id = (this.#last[type] ?? 0) + INCREMENT
    this.#last[type] = id
    this.#names.set(id, name)
    if (!this.#values.values.has(name)) this.#values.add(name, 0n)
    return { id }
  }

  increment(id: number, offset: bigint): Result {
    const type = id & TYPE_MASK
    if (type !== COUNTER && type !== GAUGE) return Result.BAD_ARGUMENT
    const name = this.#names.get(id)
    if (name === undefined) return Result.NOT_FOUND
    if (type === COUNTER && offset <= 0n) return Result.BAD_ARGUMENT
    this.#values.add(name, offset)
    return Result.OK
  }

  record(id: number, value: bigint): Result {
    const name = this.#names.get(id)
    if (name === undefined) return Result.NOT_FOUND
    const type = id & TYPE_MASK
    if (type === GAUGE) this.#values.values.set(name, BigInt.asUintN(64, value))
    else this.#values.add(name, type === COUNTER ? BigInt.asUintN(64, value) : 1n)
    return Result.OK
  }

  get(id: number): bigint | Result {
    const type = id & TYPE_MASK
    if (type !== COUNTER && type !== GAUGE) return Result.BAD_ARGUMENT
    const name = this.#names.get(id)
    return name === undefined ? Result.NOT_FOUND : (this.#values.values.get(name) ?? 0n)
  }
}
