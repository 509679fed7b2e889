// Two projects: everything that is quick runs in parallel; what starts whole systems runs after it, one file at a time,
// so that its latencies are its own.
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const END_TO_END = ['test/whole/**/*.test.ts']

export default defineConfig({
  // As in the running program, which does it for the adapters of others.
  resolve: { alias: { 'intermix/adapter-kit': fileURLToPath(new URL('src/adapter-kit/index.ts', import.meta.url)) } },
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
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
