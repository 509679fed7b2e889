// The process around the thread that examines a config: it ends with whoever started it, and is the first to go where the
// machine runs out of memory.

import { writeFileSync } from 'node:fs'
import { systemClock } from '../src/kernel/system-clock.ts'
import type { PreflightRequest } from '../src/rollout/preflight/preflight-report.ts'
import { examineInThread } from '../src/rollout/preflight/watched-thread.ts'

try {
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // Only Linux has it, and it is only a wish.
}

const thread = new URL(`./preflight-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
process.on('disconnect', () => process.exit(1))
process.once('message', (request) => {
  void examineInThread(thread, request as PreflightRequest, { clock: systemClock, processorMs }).then((outcome) => {
    process.send?.(outcome, () => process.exit(0))
  })
})

function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
