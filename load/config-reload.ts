// How long a reload stops the event loop: `node load/config-reload.ts [--quick]`. A config of 10,000 rules is changed
// again and again while the process that serves it runs. `cpu` is the longest time of the processor between two turns of
// the loop, which other work on the machine does not change; `wall` is how long the loop stood still by the clock.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { builtInAdapters } from '../src/adapters/index.ts'
import { createTestEnvironment } from '../src/adapter-kit/test-environment.ts'
import { LiveConfig } from '../src/compose/live-config.ts'
import { folderSource } from '../src/config/folder-source.ts'
import { WatchedConfig } from '../src/config/watch.ts'
import { Health } from '../src/observe/health.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createMeter } from '../src/observe/meter.ts'
import { systemClock as clock, systemRandom as random } from '../src/kernel/system-clock.ts'
import { createGuard } from '../src/policy/guard.ts'
import { HandlerTables } from '../src/policy/handler-table.ts'
import { DENY } from '../test/config/compile.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'

const RULES = 10_000

const BASE = `apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: words}
spec:
  attributes:
    destination.service.name: {valueType: STRING}
    request.path: {valueType: STRING}
---${DENY}`

function rule(number: number, version: number): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: rule
metadata:
  name: r${number}
  namespace: istio-system
spec:
  match: destination.service.name == "s${number % 2_500}" && request.path.startsWith("/v${version}/p${number}/")
  actions:
  - handler: deny
    instances:
    - nothing
`
}

/** Follows the loop from turn to turn until it is told to end; gives the longest turn in milliseconds. */
function watchLoop(): () => { readonly cpu: number; readonly wall: number } {
  let [cpu, wall] = [0, 0]
  let [cpuBefore, wallBefore] = [process.threadCpuUsage(), performance.now()]
  let ended = false
  const turn = () => {
    const { user, system } = process.threadCpuUsage(cpuBefore)
    cpu = Math.max(cpu, (user + system) / 1e3)
    wall = Math.max(wall, performance.now() - wallBefore)
    cpuBefore = process.threadCpuUsage()
    wallBefore = performance.now()
    if (!ended) setImmediate(turn)
  }
  setImmediate(turn)
  return () => {
    ended = true
    turn()
    return { cpu, wall }
  }
}

/** The same rules as items of one list, as `kubectl get -o yaml` prints them. */
function list(rules: readonly string[]): string {
  const items = rules.map((text) => `- ${text.trimEnd().replaceAll('\n', '\n  ')}`)
  return `apiVersion: v1\nkind: List\nitems:\n${items.join('\n')}\n`
}

interface Layout {
  readonly name: string
  readonly files: number
  readonly join: (rules: readonly string[]) => string
}

const LAYOUTS: readonly Layout[] = [
  { name: '1 file', files: 1, join: (rules) => rules.join('---\n') },
  { name: '100 files', files: 100, join: (rules) => rules.join('---\n') },
  { name: '1 file, one list', files: 1, join: list },
]

async function measure(layout: Layout, folder: string, reloads: number) {
  const perFile = RULES / layout.files
  /** Writes all files, of which `changed` are of a new version. */
  const write = async (version: number, changed: number) => {
    for (let file = 0; file < changed; file++) {
      const rules = Array.from({ length: perFile }, (_, i) => rule(file * perFile + i, version))
      await writeFile(join(folder, `rules-${file}.yaml`), layout.join(rules))
    }
  }
  await writeFile(join(folder, 'base.yaml'), BASE)
  await write(0, layout.files)
  const log = createLogger({ format: 'json', level: 'error', terminal: false, write: (line) => say(line) })
  const meter = createMeter({ processMetrics: false })
  const watched = await WatchedConfig.open({
    source: folderSource(folder, { clock, log }),
    compile: { adapters: builtInAdapters() },
    clock,
    log,
    meter,
    pollMs: 3_600_000,
    debounceMs: 3_600_000,
  })
  const tables = new HandlerTables({
    clock,
    log,
    environment: () => ({ environment: createTestEnvironment(), dispose: () => undefined }),
    guard: (handler) => createGuard({ handler, clock, log, random, meter }),
  })
  const live = new LiveConfig({
    watched,
    tables,
    varieties: new Set(['check']),
    clock,
    log,
    meter,
    health: new Health(),
  })
  await live.start()
  const rows = []
  for (const [what, changed] of [['every rule', layout.files] as const, ['one file', 1] as const]) {
    if (what === 'one file' && layout.files === 1) continue
    const turns: { readonly cpu: number; readonly wall: number; readonly took: number }[] = []
    for (let i = 1; i <= reloads; i++) {
      await write(2 * i + (what === 'one file' ? 1 : 0), changed)
      const applied = new Promise<void>((resolve) => live.onState(() => resolve()))
      const end = watchLoop()
      const startedAt = performance.now()
      await watched.reload()
      await applied
      turns.push({ ...end(), took: performance.now() - startedAt })
    }
    const sorted = (figure: 'cpu' | 'wall' | 'took') => turns.map((each) => each[figure]).toSorted((x, y) => x - y)
    const median = (figure: 'cpu' | 'wall' | 'took') => sorted(figure)[turns.length >> 1] ?? 0
    rows.push({
      'rules in': layout.name,
      changed: what,
      'cpu ms': median('cpu').toFixed(1),
      'longest cpu ms': (sorted('cpu').at(-1) ?? 0).toFixed(1),
      'wall ms': median('wall').toFixed(1),
      'took ms': median('took').toFixed(0),
      'heap MiB': (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0),
    })
  }
  await live.stop()
  await tables.stop()
  watched.close()
  return rows
}

const { quick } = scenarioOptions()
const rows: Record<string, string>[] = []
for (const layout of LAYOUTS) {
  await runScenario(async (defer) => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-reload-'))
    defer(() => rm(folder, { recursive: true }))
    rows.push(...(await measure(layout, folder, quick ? 5 : 15)))
  })
}
say(`${RULES} rules: how long a reload stops the event loop, and how long it takes`)
printTable(rows)
await saveResults('config-reload', { rules: RULES, rows })
process.exit(0)
