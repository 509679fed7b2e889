// A mistake in the source of an expression, thrown while it is read and caught where its compilation starts.

/** `start` and `end` are offsets into the source. */
export class SourceError extends Error {
  readonly start: number
  readonly end: number

  constructor(message: string, start: number, end: number) {
    super(message)
    this.start = start
    this.end = end
  }
}

/** Longest source that is compiled; longer text is a mistake, not an expression. */
export const MAX_SOURCE_LENGTH = 16_384

/** Deepest nesting that is compiled: evaluation recurses, and a stack overflow must not be reachable from config. */
export const MAX_DEPTH = 200
