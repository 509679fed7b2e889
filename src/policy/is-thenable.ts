// Tells promises, those of other realms and libraries included, from plain values.

/** Whether a value has to be awaited. Throws what a `then` that is a getter throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
