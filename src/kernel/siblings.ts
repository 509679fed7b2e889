// The other processes of a node that serve on the same ports: what is true of the node must be true of all of them.

/** What the others said. */
export interface SiblingAnswers {
  /** By the name of the process; `undefined` from one that has nothing to say, such as one that is still starting. */
  readonly answers: ReadonlyMap<string, unknown>
  /** Names of those that did not answer in time: they hang, or have just ended. */
  readonly silent: readonly string[]
}

/** A way to the other processes of this node. Questions and answers are data that can be copied. */
export interface Siblings {
  /** Asks all others, those that are starting included, and waits some seconds at most. Rejects with NOT_READY where there is no way to them. */
  ask(name: string, question?: unknown): Promise<SiblingAnswers>
  /** Answers what others ask by this name, from now on in place of whoever did; the returned function ends that. */
  answer(name: string, reply: (question: unknown) => unknown): () => void
}
