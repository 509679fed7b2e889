// Poison configs at length: node test/whole/rollout/run.ts [--configs 1000] [--nodes 8] [--seed 1] [--pause 20].
// Each is published to real nodes under load; exits with 1 where one reached more than one node, or did not go back by itself.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { seededPicker } from '../../properties/random.ts'
import { config, rule } from '../../rollout/preflight/configs.ts'
import { startMesh } from './mesh.ts'
import { poison } from './poison.ts'

const { values } = parseArgs({
  options: {
    configs: { type: 'string', default: '1000' },
    nodes: { type: 'string', default: '8' },
    seed: { type: 'string', default: '1' },
    /** Between two requests to one node, in ms. */
    pause: { type: 'string', default: '20' },
  },
})
const [configs, nodes, seed, pauseMs] = [values.configs, values.nodes, values.seed, values.pause].map(Number) as [
  number,
  number,
  number,
  number,
]
if (!(configs > 0 && nodes > 1 && seed >= 0 && pauseMs >= 0))
  throw new Error('all flags take numbers, --nodes more than 1')

interface Row {
  configs: number
  /** By how it ended. */
  readonly ended: Map<string, number>
  /** The most nodes that one of these ran on. */
  touched: number
  /** Requests to the node that ran it which got no verdict, and requests to others. */
  failedThere: number
  failedElsewhere: number
}

const ADAPTERS = fileURLToPath(new URL('harmful-adapters.mts', import.meta.url))
const STABLE = config(rule('admin', 'request.path.startsWith("/admin")'))
const PATHS = ['/', '/a', '/b', '/admin', '/c']
const ends: (() => unknown)[] = []
const end = async () => {
  for (const each of ends.splice(0).toReversed()) await each()
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void end().finally(() => process.exit(1)))

const rows = new Map<string, Row>()
const findings: string[] = []
try {
  const flags = ['--adapters', ADAPTERS]
  const mesh = await startMesh(STABLE, PATHS, { nodes, flags, pauseMs, onEnd: (each) => void ends.push(each) })
  const pick = seededPicker(seed)
  for (let number = 0; number < configs; number++) {
    const { kind, files } = poison(pick, number)
    mesh.asked()
    const begunAt = performance.now()
    const { outcome, reason } = await mesh.rollOut(files)
    const touched = mesh.touchedBy(files)
    const failed = mesh.asked().map((asked) => asked.failed)
    const row = rows.get(kind) ?? { configs: 0, ended: new Map(), touched: 0, failedThere: 0, failedElsewhere: 0 }
    rows.set(kind, row)
    row.configs++
    row.ended.set(outcome, (row.ended.get(outcome) ?? 0) + 1)
    row.touched = Math.max(row.touched, touched.length)
    const sum = (of: (node: number) => boolean) => failed.reduce((all, each, node) => (of(node) ? all + each : all), 0)
    row.failedThere += sum((node) => touched.includes(node))
    row.failedElsewhere += sum((node) => !touched.includes(node))
    const isRight = touched.length <= 1 && (outcome === 'rejected' || outcome === 'rolled-back')
    if (!isRight) findings.push(`${number}, ${kind}: ${outcome} (${reason}), on the nodes ${touched.join(', ')}`)
    const seconds = ((performance.now() - begunAt) / 1_000).toFixed(1)
    console.log(`${number + 1}: ${kind}: ${outcome} after ${seconds} s, on ${touched.length} nodes`)
  }
} finally {
  await end()
}
console.table(
  Object.fromEntries(
    [...rows].map(([kind, { ended, ...row }]) => [
      kind,
      { ...row, ended: [...ended].map(([how, count]) => `${how} ${count}`).join(', ') },
    ]),
  ),
)
for (const finding of findings) console.error(finding)
process.exitCode = findings.length === 0 ? 0 : 1
