import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { usedHeap } from '../../helpers/used-heap.ts'
import { ECHO, Served } from './served.ts'

const WANTED = 10_000
/** Beside the connections: what the test runner has open. */
const SPARE_FILES = 500
const MAX_BYTES_EACH = 16 * 1024
const MAX_BYTES_LEFT = 256

function openFileLimit(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n']).toString().trim()
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}

describe('many connections', () => {
  const served = new Served()
  afterEach(() => served.stop())

  it('are all answered, each for little memory', async () => {
    const count = Math.min(WANTED, openFileLimit() - SPARE_FILES)
    if (count < WANTED) console.warn(`only ${count} connections: ulimit -n is ${openFileLimit()}`)
    await served.listen()
    const before = usedHeap()
    const script = fileURLToPath(new URL('open-many.ts', import.meta.url))
    const child = spawn(process.execPath, [script, String(served.port), String(count), ECHO], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    try {
      expect((await lines.next()).value).toBe(`answered ${count}`)
      expect(served.count('grpc_connections')).toBe(count)
      expect((usedHeap() - before) / count).toBeLessThan(MAX_BYTES_EACH)
      child.stdin.write('again\n')
      expect((await lines.next()).value).toBe(`answered ${count}`)
      expect(served.echoed).toBe(2 * count)
    } finally {
      child.kill('SIGKILL')
    }
    await once(child, 'close')
    await expect.poll(() => served.count('grpc_connections')).toBe(0)
    expect(served.count('grpc_connections_closed_total', 'peer')).toBe(count)
    // Nothing of them is left.
    expect((usedHeap() - before) / count).toBeLessThan(MAX_BYTES_LEFT)
  })
})
