// Params and backends under which each built-in adapter is run through the conformance suite.

import { join } from 'node:path'
import type { ConformanceOptions } from '../../src/adapter-kit/conformance-case.ts'
import type { ScriptRunner } from '../../src/adapter-kit/script-runner.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'

const json = (body: unknown) => () =>
  Promise.resolve(new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } }))

/** By adapter name; adapters that need nothing are left out. `redis` gives the Redis that the test has started, `folder` is its own. */
export const conformanceOptions = (
  redis: () => ScriptRunner,
  folder: string,
): Readonly<Record<string, ConformanceOptions>> => ({
  http: {
    params: { url: 'http://backend.example/check' },
    fetch: json({}),
    reportBackends: {
      partly: json({
        failed: [
          { index: 1, reason: 'no label' },
          { index: 2, reason: 'busy', retry: true },
        ],
      }),
      tooLarge: () => Promise.resolve(new Response('', { status: 413 })),
    },
  },
  kubernetesenv: {
    params: { apiServerUrl: 'http://kubernetes.example', tokenPath: '' },
    fetch: json({ items: [{ metadata: { name: 'web-0', namespace: 'shop' }, status: { podIP: '10.0.0.1' } }] }),
  },
  listchecker: {
    params: { providerUrl: 'http://lists.example/all' },
    fetch: () => Promise.resolve(new Response('sample\nother')),
  },
  memquota: { params: { quotas: [{ name: 'sample', maxAmount: 5 }] } },
  opa: { params: { url: 'http://opa.example', path: 'shop/allow' }, fetch: json({ result: true }) },
  prometheus: { params: { metrics: [{ name: 'requests', instanceName: 'sample', kind: 'COUNTER' }] } },
  quota: {
    params: { quotas: [{ name: 'sample', limits: [{ maxAmount: 5, validDuration: '1h' }] }] },
    limits: new MemoryLimits({ clock: systemClock }),
  },
  redisquota: { params: { quotas: [{ name: 'sample', maxAmount: 5, validDuration: '1h' }] }, redis },
  stdio: { params: { logStream: 'FILE', outputPath: join(folder, 'stdio.log') } },
})
