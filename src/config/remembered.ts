// What an earlier config made of the same piece of text, so that a reload costs what has changed.

import type { Problem } from '../kernel/problem.ts'
import { ProblemList } from './problem-list.ts'

interface Known<V> {
  readonly value: V
  readonly problems: readonly Problem[]
}

/** Values by the node or object that they were made of, with the warnings that were given meanwhile. */
export class Remembered<K extends object, V> {
  readonly #known = new WeakMap<K, Known<V>>()

  /** The value, made when it is not known or not `stillRight`; warnings are told again with a known one. */
  get(key: K, problems: ProblemList, make: () => V, stillRight: (value: V) => boolean = () => true): V {
    const known = this.#known.get(key)
    if (known !== undefined && stillRight(known.value)) {
      for (const problem of known.problems) problems.push(problem)
      return known.value
    }
    const [before, errors] = [problems.all.length, problems.errorCount]
    const value = make()
    // What has an error is of no use; and beyond its limit the list has not kept what was told.
    if (problems.errorCount === errors && problems.all.length < ProblemList.limit) {
      this.#known.set(key, { value, problems: problems.all.slice(before) })
    }
    return value
  }
}
