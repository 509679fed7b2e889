// Group commit: while one call is under way others gather, and go together in the next.

/** Runs all that has gathered, in order, and gives a result for each. */
export type CommitGroup<T, R> = (items: readonly T[]) => Promise<readonly R[]>

export interface GroupBounds<T> {
  readonly maxWeight: number
  /** What an item counts towards `maxWeight`; a heavier item than that goes alone. */
  readonly weigh: (item: T) => number
}

interface Waiting<T, R> {
  readonly item: T
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

export class GroupCommit<T, R> {
  readonly #commit: CommitGroup<T, R>
  readonly #bounds: GroupBounds<T>
  #waiting: Waiting<T, R>[] = []
  #last: Promise<unknown> = Promise.resolve()

  constructor(commit: CommitGroup<T, R>, bounds: GroupBounds<T>) {
    this.#commit = commit
    this.#bounds = bounds
  }

  /** Resolves once the item's group is committed; where that fails, all of the group are rejected. */
  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (this.#waiting.length === 1) void this.alone(() => this.#next())
    })
  }

  /** Runs a task while no commit is under way, in its turn. */
  alone<V>(task: () => Promise<V>): Promise<V> {
    const done = this.#last.then(task)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #next(): Promise<void> {
    const { maxWeight, weigh } = this.#bounds
    let weight = 0
    let count = 0
    for (const { item } of this.#waiting) {
      weight += weigh(item)
      if (count > 0 && weight > maxWeight) break
      count++
    }
    const group = this.#waiting.splice(0, count)
    if (this.#waiting.length > 0) void this.alone(() => this.#next())
    try {
      const results = await this.#commit(group.map(({ item }) => item))
      for (const [i, { resolve }] of group.entries()) resolve(results[i] as R)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
}
