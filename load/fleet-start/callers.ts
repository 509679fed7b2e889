// Many callers of one node in one process, each with a pool of its own as a sidecar has: `fork`ed with ROOT PORT COUNT NAME. Says
// when each of them is told, after `{ wait: seconds }`.

import type * as Pools from '../../src/client/nodes/node-pool.ts'
import { systemClock, systemRandom } from '../../src/kernel/system-clock.ts'

const [root = '', port = '0', count = '1', name = 'caller'] = process.argv.slice(2)
const { NodePool }: typeof Pools = await import(new URL('src/client/nodes/node-pool.ts', root).href)
const LOOK_MS = 10
const address = { host: '127.0.0.1', port: Number(port) }

// What would end a sidecar is counted, so that the others can be measured.
let crashes = 0
process.on('uncaughtException', () => crashes++)

const pools = Array.from({ length: Number(count) }, (_, index) => {
  const options = { clock: systemClock, random: systemRandom, connectTimeoutMs: 1_000 }
  return new NodePool({ ...options, caller: `${name}-${index}`, onMembers: () => undefined })
})

process.on('message', ({ wait }: { readonly wait: number }) => {
  const begin = performance.now()
  const toldMs: number[] = []
  // Those that still hear a node have not lost it yet.
  const left = new Set(pools)
  for (const pool of pools) pool.setMembers([{ id: `127.0.0.1:${port}`, address }])
  const look = setInterval(() => {
    const now = performance.now() - begin
    for (const pool of left) if (pool.isHeard && left.delete(pool)) toldMs.push(now)
    if (left.size > 0 && now < wait * 1_000) return
    clearInterval(look)
    process.send?.({ toldMs, crashes })
  }, LOOK_MS)
})
process.send?.({ heard: 0 })
