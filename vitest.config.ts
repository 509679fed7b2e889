// Projects: quick tests of parts, and tests that start whole systems, which have more time. What calls gRPC doors runs once more,
// over grpc-js. All run beside each other: most wait half of their time, for processes to start, to be missed and to come back.
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

const END_TO_END = ['test/whole/**/*.test.ts']

/** Tests of gRPC doors, which run on both transports; `server/transport.ts` and the command read which it is. */
const GRPC_DOORS = [
  'access-log',
  'batch-stream',
  'drain',
  'ext-authz',
  'grpc',
  'mixer-v1',
  'one-spelling',
  'overload',
  'rate-limit',
].map((name) => `test/server/${name}.test.ts`)
const GRPC_END_TO_END = ['test/whole/envoy.test.ts', 'test/whole/doors/*.test.ts', 'test/whole/headers.test.ts']

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
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: [...END_TO_END, 'node_modules/**'],
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: END_TO_END,
          exclude: ['node_modules/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'grpc-js',
          include: GRPC_DOORS,
          env: { INTERMIX_TRANSPORT: 'grpc-js' },
        },
      },
      {
        extends: true,
        test: {
          name: 'whole grpc-js',
          include: GRPC_END_TO_END,
          env: { INTERMIX_TRANSPORT: 'grpc-js' },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
