// What handlers of one name share, such as their counters: one that takes the place of another goes on with it.

type End = () => void | Promise<void>

interface Shared<T> {
  readonly value: T
  readonly close: End
  users: number
}

export class SharedByName<T> {
  readonly #open: (name: string) => { readonly value: T; readonly close: End }
  readonly #shared = new Map<string, Shared<T>>()

  constructor(open: (name: string) => { readonly value: T; readonly close: End }) {
    this.#open = open
  }

  /** Opened when it is first asked for: most handlers never do. It is closed when the last one that asked has ended. */
  lazily(name: string, ends: End[]): () => T {
    let value: T | undefined
    return () => (value ??= this.#join(name, ends))
  }

  #join(name: string, ends: End[]): T {
    const shared = this.#shared.get(name) ?? { ...this.#open(name), users: 0 }
    this.#shared.set(name, shared)
    shared.users++
    ends.push(() => {
      if (--shared.users > 0) return undefined
      this.#shared.delete(name)
      return shared.close()
    })
    return shared.value
  }
}
