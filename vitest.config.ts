// What calls gRPC doors runs once more, over grpc-js. All files run beside each other: most wait half of their time, for processes to
// start, to be missed and to come back.
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

/** Tests of gRPC doors, which run on both transports; `server/transport.ts` and the command read which it is. */
const GRPC_DOORS = [
  'server/access-log',
  'server/batch-stream',
  'server/drain',
  'server/ext-authz',
  'server/grpc',
  'server/mixer-v1',
  'server/one-spelling',
  'server/overload',
  'server/rate-limit',
  'server/rate-limit-quota',
  'server/report-calls',
  'whole/doors/*',
  'whole/envoy',
  'whole/headers',
].map((name) => `test/${name}.test.ts`)

export default defineConfig({
  // As in the running program, which does it for the adapters of others.
  resolve: {
    alias: {
      'intermix/adapter-kit': fileURLToPath(new URL('src/adapter-kit/index.ts', import.meta.url)),
      'fast-check': fileURLToPath(new URL('test/helpers/seeded-fast-check.ts', import.meta.url)),
    },
  },
  test: {
    pool: 'forks',
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
    // The processes that tests start are the same sources again and again.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/intermix/compiled', import.meta.url)) },
    // For what hangs: on a machine that does nothing else tests take a fraction of it, and conditions hold at once.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      { extends: true, test: { name: 'native', include: ['test/**/*.test.ts'] } },
      { extends: true, test: { name: 'grpc-js', include: GRPC_DOORS, env: { INTERMIX_TRANSPORT: 'grpc-js' } } },
    ],
  },
})
