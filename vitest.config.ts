// Projects: everything that is quick runs in parallel; what starts whole systems runs after it, one file at a time, so that its
// latencies are its own; but what waits most of its time, for servers to be missed and to come back, two at a time. What calls
// gRPC doors runs once more, over grpc-js.
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const END_TO_END = ['test/whole/**/*.test.ts']

const WAITING = [
  'test/whole/chaos/*.test.ts',
  'test/whole/regions/*.test.ts',
  ...['least-rights', 'redis-cluster', 'redis-sentinel', 'replicated', 'rolling-restart'].map(
    (name) => `test/whole/${name}.test.ts`,
  ),
]

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
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A condition that is awaited holds at once on a machine that does nothing else.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: [...END_TO_END, 'node_modules/**'],
          // Not 0: where one file runs at a time, vitest leaves that group for the end.
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: END_TO_END,
          exclude: [...WAITING, 'node_modules/**'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'whole waiting',
          include: WAITING,
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'grpc-js',
          include: GRPC_DOORS,
          env: { INTERMIX_TRANSPORT: 'grpc-js' },
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'whole grpc-js',
          include: GRPC_END_TO_END,
          env: { INTERMIX_TRANSPORT: 'grpc-js' },
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
