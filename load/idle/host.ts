// Idle nodes as far as Redis sees them: for each the real log of revocations, signs of life, registry and report queue, over
// a connection of its own. `node load/idle/host.ts URL COUNT NAME [revoker]`; says what it has heard when it is asked to end.

import { setTimeout as pause } from 'node:timers/promises'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { Logger, Meter } from '../../src/kernel/ports.ts'
import { systemClock as clock } from '../../src/kernel/system-clock.ts'
import { connectRedis } from '../../src/redis/connection.ts'
import { MeshPresence } from '../../src/telemetry/mesh-presence.ts'
import { NodeSigns } from '../../src/telemetry/node-signs.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'

const [url = '', count = '1', name = 'host'] = process.argv.slice(2)
const AT_ONCE = 50
const silence = () => undefined
const log: Logger = { debug: silence, info: silence, warn: silence, error: silence, child: () => log }
const meter: Meter = {
  counter: () => () => ({ add: silence }),
  gauge: () => () => ({ set: silence }),
  histogram: () => () => ({ observe: silence }),
}
const intake = { accepted: 0, delivered: 0, held: 0, stored: 0, recovered: 0, dropped: {}, refused: {} }
const ports = { clock, log, meter, random: Math.random }
const rules = 'a'.repeat(64)

/** They look at the memory of Redis by themselves. */
const queues: ReportQueue[] = []

async function startNode(id: string): Promise<RevocationService> {
  const link = connectRedis({ ...ports, access: { url }, role: 'queue', commandTimeoutMs: 2_000 })
  await new Promise<void>((resolve) => void link.onUp(resolve))
  const entry = { id, rules, adds: [rules], evaluates: [], delivers: [] }
  const common = { ...ports, link, prefix: 'idle' }
  const ledger = new RedisLedger(link, 'idle')
  const presence = new MeshPresence({ ...common, mesh: undefined, ledger, self: () => entry, seesAll: false })
  presence.tell()
  new NodeSigns({ ...common, process: id, node: id }).start(() => intake)
  queues.push(new ReportQueue({ ...common, note: (digest) => presence.note(digest) }))
  const revocations = new Revocations()
  const service = new RevocationService({ ...common, revocations, nodeId: id, partitionMaxAgeMs: 0 })
  await service.start()
  return service
}

const services: RevocationService[] = []
while (services.length < Number(count)) {
  const more = Math.min(AT_ONCE, Number(count) - services.length)
  const ids = Array.from({ length: more }, (_, i) => `${name}-${services.length + i}`)
  services.push(...(await Promise.all(ids.map(startNode))))
  // As nodes start that do not know of each other: at any time within a poll.
  await pause(100)
}
process.stdout.write(`${JSON.stringify({ started: services.length })}\n`)

process.on('message', (asked) => {
  const inTouch = services.filter((service) => service.inTouch()).length
  if (asked === 'revoke') void revoke()
  else process.send?.({ inTouch })
})

async function revoke(): Promise<void> {
  const startedAt = performance.now()
  const receipt = await services[0]?.revoke({ kind: 'handler', handler: 'a.handler.b' })
  process.send?.({ tookMs: performance.now() - startedAt, counts: receipt?.counts })
}
