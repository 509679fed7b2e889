// The batch stage: pieces that a backend takes at once.

/** Cuts a list into pieces of at most `size` (at least 1), in order. The same list gives the same pieces. */
export function cutBatches<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  if (items.length <= size) return items.length === 0 ? [] : [items]
  const pieces: T[][] = []
  for (let at = 0; at < items.length; at += size) pieces.push(items.slice(at, at + size))
  return pieces
}
