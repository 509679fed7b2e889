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
