// Poison configs at length: node test/whole/rollout/run.ts [--configs 1000] [--nodes 8] [--seed 1] [--pause 20].
// Each is published to real nodes under load; exits with 1 where one reached more than one node, or did not go back by itself.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { seededPicker } from '../../properties/random.ts'
import { config, rule } from '../../rollout/preflight/configs.ts'
import { type Asked, type RolloutMesh, startMesh } from './mesh.ts'
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
  /** Processes that it ended. */
  processesEnded: number
  /** Requests that the next node was asked for, since one did not answer. */
  moved: number
  /** Requests that got no verdict, or another one than before. */
  failed: number
  changed: number
  /** The longest time from when a guard had failed until everybody had gone back, in seconds. */
  longestRollback: number
}

const NONE = (): Row => ({
  configs: 0,
  ended: new Map(),
  touched: 0,
  processesEnded: 0,
  moved: 0,
  failed: 0,
  changed: 0,
  longestRollback: 0,
})

/** From when the last rollout began to go back until nobody answered by it any more, in seconds on the clock of Redis. */
async function rollbackTook({ store }: RolloutMesh): Promise<number> {
  const [finished, failed] = await store.log(2)
  if (finished?.event !== 'finish-rollback' || failed?.event !== 'fail') return 0
  return (finished.at - failed.at) / 1_000
}

const ADAPTERS = fileURLToPath(new URL('harmful-adapters.mts', import.meta.url))
const STABLE = config(rule('admin', 'request.path.startsWith("/admin")'))
const PATHS = ['/', '/admin', '/a', '/admin/a', '/b', '/admin/b', '/c', '/admin/c']
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
    const asked = mesh.asked()
    const died = asked.flatMap((each, node) => (each.ended > 0 ? [node] : []))
    const touched = [...new Set([...mesh.touchedBy(files), ...died])]
    const row = rows.get(kind) ?? NONE()
    rows.set(kind, row)
    const sum = (of: (each: Asked) => number) => asked.reduce((all, each) => all + of(each), 0)
    const failed = sum((each) => each.failed)
    const changed = sum((each) => each.changed)
    row.configs++
    row.ended.set(outcome, (row.ended.get(outcome) ?? 0) + 1)
    row.touched = Math.max(row.touched, touched.length)
    row.processesEnded += sum((each) => each.ended)
    row.moved += sum((each) => each.moved)
    row.failed += failed
    row.changed += changed
    const tookBack = await rollbackTook(mesh)
    row.longestRollback = Math.max(row.longestRollback, tookBack)
    const isBack = outcome === 'rejected' || outcome === 'rolled-back'
    const what = `${outcome} (${reason}), on the nodes ${touched.join(', ')}; ${failed} failed, ${changed} changed`
    if (touched.length > 1 || !isBack || failed + changed > 0) {
      findings.push(`${number + 1}, ${kind}: ${what}`)
      console.error(findings.at(-1))
    }
    const seconds = ((performance.now() - begunAt) / 1_000).toFixed(1)
    console.log(
      `${number + 1}: ${kind}: ${outcome} after ${seconds} s, on ${touched.length} nodes, back in ${tookBack} s`,
    )
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
