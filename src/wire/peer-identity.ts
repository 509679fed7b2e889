// What a peer's authenticated name says: principal, namespace and service account.

const SPIFFE = 'spiffe://'

/** A principal as Mixer names it: without `spiffe://`; absent where the peer has none. */
export function principalOf(identity: string | undefined): string | undefined {
  if (identity === undefined || identity === '') return undefined
  return identity.startsWith(SPIFFE) ? identity.slice(SPIFFE.length) : identity
}

/** The `<x>` of `/ns/<x>/` in a SPIFFE principal. */
export function namespaceOf(identity: string | undefined): string | undefined {
  return segmentAfter(identity, '/ns/')
}

/** The `<x>` of `/sa/<x>` in a SPIFFE principal. */
export function serviceAccountOf(identity: string | undefined): string | undefined {
  return segmentAfter(identity, '/sa/')
}

function segmentAfter(identity: string | undefined, marker: string): string | undefined {
  if (identity === undefined || !identity.startsWith(SPIFFE)) return undefined
  const at = identity.indexOf(marker)
  if (at < 0) return undefined
  const start = at + marker.length
  const end = identity.indexOf('/', start)
  const segment = identity.slice(start, end < 0 ? undefined : end)
  return segment === '' ? undefined : segment
}
