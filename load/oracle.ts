// What every policy backend decides: a pure function of the key, so that each answer can be checked by whoever asked.

/** The path that stands for a key, as attribute `request.path`. */
export function pathOf(key: number | ''): string {
  return `/keys/${key}`
}

/** Keys from here on are those that a backend fails on while it is told to: see the fault `poison`. */
export const FIRST_POISON = 10_000_000

/** Whether a backend with the fault `poison` fails on this path. */
export function isPoison(path: string): boolean {
  return Number(path.slice(pathOf('').length)) >= FIRST_POISON
}

/** One path in ten is denied, spread evenly (FNV-1a). */
export function decisionOn(path: string): 'allow' | 'deny' {
  let hash = 0x811c9dc5
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193)
  return (hash >>> 8) % 10 === 0 ? 'deny' : 'allow'
}
