// The long form of what happens to nodes under load: node test/whole/filter/run.ts [--rounds 5] [--away 30] [--valid 5] [--sidecar].
// Exits with 1 where an answer was wrong, or a request failed.
import { parseArgs } from 'node:util'
import { findTool } from '../../helpers/tools.ts'
import { killAll, killEach, reload, revoke } from './scenarios.ts'
import { startTraffic } from './traffic.ts'
import { startWorld } from './world.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    /** Seconds for which all nodes are away. */
    away: { type: 'string', default: '30' },
    /** Seconds for which the backend's verdicts are valid: beyond that they are given while no node answers. */
    valid: { type: 'string', default: '5' },
    /** Whether the filter asks a sidecar, and that the nodes. */
    sidecar: { type: 'boolean', default: false },
  },
})
const [rounds, away, validSeconds] = [values.rounds, values.away, values.valid].map(Number) as [number, number, number]
if (!(rounds > 0 && away >= 0 && validSeconds > 0)) throw new Error('--rounds, --away and --valid take numbers')
const binary = findTool('envoy')
if (binary === undefined) throw new Error('Envoy is needed: `npm test` as root on Debian installs it')

const world = await startWorld({ binary, validSeconds, sidecar: values.sidecar })
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void world.stop().finally(() => process.exit(1)))
}
try {
  const traffic = await startTraffic(world)
  const startedAt = performance.now()
  const say = (what: string) => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
    console.log(`${seconds} s: ${what}; ${traffic.answered} answers, ${traffic.findings.length} findings`)
  }
  for (let round = 0; round < rounds; round++) {
    await killEach(world, traffic)
    say('each node killed and started again')
    const { status, unconfirmed, callers } = await revoke(world, traffic)
    say(`revoked: ${status}, not confirmed by ${JSON.stringify([...unconfirmed, ...callers])}`)
    say(`config: followed ${(await reload(world, traffic)).toFixed(0)} ms after the last node`)
    await killAll(world, traffic, away * 1_000)
    say(`all nodes away for ${away} s`)
  }
  await traffic.stop()
  const answers = await Promise.all(
    ['kept', 'node', 'stale', 'none'].map(
      async (from) => `${from} ${await world.envoy.stat(`wasmcustom.intermix.answers.${from}`)}`,
    ),
  )
  console.log(`answers: ${answers.join(', ')}`)
  for (const finding of traffic.findings) console.error(finding)
  process.exitCode = traffic.findings.length === 0 ? 0 : 1
} finally {
  await world.stop()
}
