// What the script of observations replies, read. Thousands of processes say some megabytes a second: a controller answers
// requests meanwhile.

import { readObservation, type SeenObservation } from './observation.ts'

/** Between the name of a process and what follows it, where the one that spoke has died. */
const DIED = '\n'
/** Some milliseconds' work. */
const AT_ONCE = 100

/**
 * @param said process, age in ms and JSON in turns
 * @param turn lets others work
 */
export async function readObserved(
  said: readonly unknown[],
  turn: () => Promise<void>,
): Promise<{ readonly observations: readonly SeenObservation[]; readonly died: readonly SeenObservation[] }> {
  const [observations, died]: [SeenObservation[], SeenObservation[]] = [[], []]
  for (let at = 0; at + 2 < said.length; at += 3) {
    if (at > 0 && at % (3 * AT_ONCE) === 0) await turn()
    const [node = '', ofDead] = String(said[at]).split(DIED)
    const found = readObservation(node, Number(said[at + 1]), String(said[at + 2]))
    if (found !== undefined) (ofDead === undefined ? observations : died).push(found)
  }
  return { observations, died }
}
