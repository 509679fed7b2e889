// "Did you mean": the names nearest to a mistaken one.

/**
 * A hint such as ` Did you mean "denier"?`, or the choices where there are few, or an empty string.
 * Near means at most a third of the letters changed (Damerau-Levenshtein with adjacent swaps).
 */
export function suggest(name: string, candidates: Iterable<string>): string {
  const known = [...new Set(candidates)]
  const near = nearest(name, known)
  if (near.length > 0) return ` Did you mean ${near.map((candidate) => JSON.stringify(candidate)).join(' or ')}?`
  if (known.length === 0 || known.length > 16) return ''
  return ` Known: ${known.toSorted().join(', ')}.`
}

/** Up to two candidates within reach of a typing mistake, nearest first. */
export function nearest(name: string, candidates: readonly string[]): readonly string[] {
  const wanted = fold(name)
  const limit = Math.max(1, Math.floor(wanted.length / 3))
  const near: { candidate: string; distance: number }[] = []
  for (const candidate of candidates) {
    const other = fold(candidate)
    if (Math.abs(other.length - wanted.length) > limit) continue
    const distance = editDistance(wanted, other)
    if (distance <= limit) near.push({ candidate, distance })
  }
  near.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
  const best = near[0]?.distance
  return near
    .filter(({ distance }) => distance === best)
    .slice(0, 2)
    .map(({ candidate }) => candidate)
}

function fold(name: string): string {
  return name.slice(0, 200).toLowerCase().replaceAll(/[_-]/g, '')
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1)
      row.push(best)
    }
    before = above
    above = row
  }
  return above[b.length] ?? 0
}
