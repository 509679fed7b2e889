// What is revoked, and how far somebody has followed the revocations of a mesh.

/** What a revocation is about: one handler, one attribute value (of a map: one key's value), or everything. */
export type RevocationTarget =
  | { readonly kind: 'all' }
  | { readonly kind: 'handler'; readonly handler: string }
  | { readonly kind: 'attribute'; readonly name: string; readonly key: string | undefined; readonly value: string }

export interface Revocation {
  readonly sequence: number
  readonly target: RevocationTarget
}

/** The point in the sequence at which something was asked; `generation` changes when the sequence started anew. */
export interface Epoch {
  readonly generation: string
  readonly sequence: number
}

/** Callers of a node, or of who stands before one, that have not confirmed what they were told. */
export interface CallersBehind {
  readonly count: number
  /** Of the first ones. */
  readonly names: readonly string[]
}

/**
 * Without word for so long that all revocations are known, in ms, who keeps answers takes itself for out of touch: a node of the
 * log, and a caller of its nodes. What `revoke` promises of those that it cannot reach counts on both; `docs/batch-stream.md` says
 * so, too.
 */
export const OUT_OF_TOUCH_MS = 2_000
