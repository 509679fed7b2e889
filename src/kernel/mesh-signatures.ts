// What nodes of a mesh sign for each other, so that who can write to their Redis can say nothing in their place.

/** What is signed: verdicts, revocations (and the log that they are in), and where a node can be reached. */
export const SIGNED_KINDS = ['entry', 'revocation', 'member'] as const
export type SignedKind = (typeof SIGNED_KINDS)[number]

/**
 * Why something is not believed: it bears no signature; one of a key that this node does not have; one that does not belong to it; one
 * whose time is over; records of the log are missing, or not in their order.
 */
export const SIGNATURE_FAULTS = ['unsigned', 'unknown_key', 'forged', 'expired', 'broken_chain'] as const
export type SignatureFault = (typeof SIGNATURE_FAULTS)[number]

/** Signs in the name of the mesh. Signatures have no spaces, and texts of different kinds never have the same. */
export interface MeshSignatures {
  sign(kind: SignedKind, text: string): string
  /** Why a signature (empty for none) does not hold; `undefined` where it does, or where none is asked for. */
  fault(kind: SignedKind, text: string, signature: string): SignatureFault | undefined
  /** Counts something that is not believed, and says so in the log now and then. */
  refused(kind: SignedKind, why: SignatureFault): void
}

/** Conceals values, too. */
export interface MeshSeal extends MeshSignatures {
  /** The text as it is to be stored: encrypted, where that is asked for. `context` is bound to it. */
  conceal(text: string, context: string): string
  /** What was concealed, whether or not this node conceals; `undefined` where it cannot be read. What is in the open stays as it is. */
  reveal(text: string, context: string): string | undefined
}
