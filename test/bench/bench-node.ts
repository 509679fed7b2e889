// A node for measuring doors in the process: real caches, policy and metrics under the quickstart's rules, and no transport.

import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { createPolicy } from '../../src/compose/policy.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { loadConfigFolder } from '../../src/config/load.ts'
import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { createGuard } from '../../src/policy/guard.ts'
import { HandlerTables } from '../../src/policy/handler-table.ts'
import { Admission } from '../../src/server/admission.ts'
import { KeptLog } from '../redis/support.ts'

/** What doors are built from, all of it real. */
export async function benchNode() {
  const meter = createMeter({ processMetrics: false })
  // A turn of the loop is what runs between two awaits here.
  const clock: Clock = { ...systemClock, turn: (callback) => (queueMicrotask(callback), () => {}) }
  const common = { clock, random: Math.random, log: new KeptLog(), meter }
  const loaded = await loadConfigFolder('examples/quickstart')
  const { snapshot, problems } = compileSnapshot(loaded, { adapters: builtInAdapters() })
  if (snapshot === undefined) throw new Error(JSON.stringify(problems))
  const tables = new HandlerTables({
    ...common,
    environment: () => ({ environment: createTestEnvironment(), dispose: () => undefined }),
    guard: (handler) => createGuard({ ...common, handler }),
  })
  const state = {
    snapshot,
    rules: atOnce(RuleSelector.build(snapshot)),
    handlers: await tables.build(snapshot.handlers.values()),
  }
  const policy = createPolicy({
    ...common,
    mesh: undefined,
    revocationLink: undefined,
    prefix: 'bench',
    nodeId: 'n',
    cache: { answers: true, verdicts: true, maxEntries: 100_000, maxBytes: 2 ** 27, refreshesPerSecond: 5 },
    partitionMaxAgeMs: 30_000,
    normalizes: true,
    allowedAmbiguities: new Set(),
    state: () => state,
  })
  await policy.start()
  return {
    check: policy.check,
    given: {
      ...common,
      check: policy.check,
      quotas: policy.quotas,
      report: { accept: () => undefined },
      admission: new Admission({
        ...common,
        loopLag: { lagMs: () => 0 },
        maxInFlight: 10_000,
        endOfTurn: queueMicrotask,
      }),
      nextBatchId: () => 'b-0',
      defaultTimeoutMs: 1_000,
    },
    async stop() {
      policy.stop()
      await tables.stop()
    },
  }
}
