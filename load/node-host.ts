// Several Intermix nodes in one process, each with its own settings, ports, metrics and Redis connections, for
// scenarios with more nodes than the machine has room for processes: `node load/node-host.ts COUNT NAME [flags of node]`.

import { createServer } from 'node:http'
import { readSettings } from '../src/settings/settings.ts'
import { createProcess } from '../src/compose/compose.ts'
import { Health } from '../src/observe/health.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createLoopMonitor } from '../src/observe/loop-lag.ts'
import { createMeter } from '../src/observe/meter.ts'
import { systemClock, systemRandom } from '../src/kernel/system-clock.ts'

const [count = '1', name = 'node', ...flags] = process.argv.slice(2)
// The composed process keeps no timers of its own alive.
setInterval(() => {}, 3_600_000)

const nodes = await Promise.all(
  Array.from({ length: Number(count) }, async (_, index) => {
    const result = readSettings('node', ['--node-id', `${name}-${index}`, ...flags], {})
    if (!('settings' in result)) throw new Error(result.problems.join('\n'))
    const { settings } = result
    const log = createLogger({
      format: 'json',
      level: 'warn',
      terminal: false,
      write: (line) => process.stdout.write(line),
      fields: { node: settings.nodeId },
    })
    const meter = createMeter({ processMetrics: index === 0 })
    const clock = systemClock
    const loopLag = createLoopMonitor({ clock, meter })
    const ports = { clock, random: systemRandom, log, meter, health: new Health(), loopLag }
    const running = await createProcess('node', settings, ports)
    return { running, meter, ...(await running.start()) }
  }),
)

const metrics = createServer((_request, response) => {
  void Promise.all(nodes.map(({ meter }) => meter.render())).then((texts) => response.end(texts.join('\n')))
})
metrics.listen(0, '127.0.0.1', () => {
  const address = metrics.address()
  if (address === null || typeof address === 'string') throw new Error('a server without a port')
  const admin = `127.0.0.1:${address.port}`
  process.stdout.write(`${JSON.stringify({ hosted: nodes.map(({ addresses }) => ({ ...addresses, admin })) })}\n`)
})

process.once('SIGTERM', () => {
  void Promise.all(nodes.map(({ running }) => running.stop(1_000))).then(() => process.exit(0))
})
