// Runs new processes' code hot before anything is measured: what they answer first costs ten times what it does later.

import type { Target } from './targets.ts'

const AT_ONCE = 6
/** Keys from here on are for warming up: measurements use lower ones. */
const FIRST_KEY = 1_000_000

/** Sends `requests` checks, a few at a time, half of them for keys that were asked about before. */
export async function warmUp(target: Target, requests: number): Promise<void> {
  let sent = 0
  const work = async () => {
    while (sent < requests) await target.ask(FIRST_KEY + (sent++ >> 1)).catch(() => undefined)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, () => work()))
}
