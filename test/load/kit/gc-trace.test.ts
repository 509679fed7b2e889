import { spawn } from 'node:child_process'
import { expect, it } from 'vitest'
import { GcTrace } from '../../../load/kit/gc-trace.ts'

it('keeps collections and their pauses, however the text is cut', () => {
  const text = `[8138:0x1c79a000]       44 ms: Scavenge 5.0 (6.0) -> 4.7 (7.0) MB, pooled: 0 MB, 6.47 / 0.00 ms  (average mu = 1.000, current mu = 1.000) allocation failure; 
{"level":30,"msg":"a line of the log with 5 ms: Scavenge in it"}
[8138:0x1c79a000]     2105 ms: Mark-Compact (reduce) 184.9 (303.8) -> 66.2 (197.5) MB, pooled: 92 MB, 34.58 / 0.00 ms  (+ 4.2 ms in 24 steps since start of marking, biggest step 3.7 ms, walltime since start of marking 180 ms) (average mu = 0.983, current mu = 0.983) finalize incremental marking via stack guard; GC in old space requested
`
  for (const size of [1, 7, 1_000]) {
    const trace = new GcTrace()
    for (let at = 0; at < text.length; at += size) trace.take(text.slice(at, at + size))
    expect(trace.collections).toEqual([
      { kind: 'Scavenge', atMs: 44, pauseMs: 6.47, heapMiB: 5 },
      { kind: 'Mark-Compact', atMs: 2105, pauseMs: 34.58, heapMiB: 184.9 },
    ])
  }
})

it('reads what this Node writes', async () => {
  const trace = new GcTrace()
  const script = 'const kept = []; for (let i = 0; i < 2e6; i++) kept[i % 1e5] = { i, list: [i] }; gc()'
  const child = spawn(process.execPath, ['--trace-gc', '--expose-gc', '-e', script])
  child.stdout.on('data', (chunk: Buffer) => trace.take(chunk.toString()))
  await new Promise((resolve) => child.once('close', resolve))
  const kinds = new Set(trace.collections.map(({ kind }) => kind))
  expect([...kinds].sort()).toEqual(['Mark-Compact', 'Scavenge'])
  for (const { pauseMs, heapMiB } of trace.collections) {
    expect(pauseMs).toBeGreaterThan(0)
    expect(heapMiB).toBeGreaterThan(1)
  }
})
