import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { testIo } from './support.ts'

const MIB = 1024 * 1024
const PART = {
  name: 'list.handler.prod',
  kind: 'verdicts',
  bytes: 5 * MIB,
  maxBytes: 20 * MIB,
  recommendedBytes: 35 * MIB,
  lookupsPerSecond: 1_234.56,
  hitRatio: 0.876,
  hitsPerMib: 3.456,
  missMs: 12.3,
  callsPerMiss: 0.5,
  costPerCall: 0.01,
  curve: [{ bytes: 10 * MIB, hitRatio: 0.7, band: 0.012 }],
  saved: { hits: 1_000, calls: 500, seconds: 12.4, money: 5 },
}
const TUNING = {
  memory: {
    memoryBytes: 100 * MIB,
    dividedBytes: 70 * MIB,
    givenBackBytes: 0,
    sampleBytes: MIB,
    decision: 'settled',
    moves: { move: 3, shrink: 1, back: 1 },
    parts: [PART],
  },
  validity: [
    {
      name: 'list.handler.prod',
      refreshed: 900,
      changed: 2,
      changesPerHour: 0.1234,
      mostChangesPerHour: 0.5,
      validForMs: 60_000,
      outdatedShare: 0.00102,
      suggestedMs: 58_000,
    },
  ],
  callers: [
    { name: 'sidecar-1', entries: 10_000, recommendedEntries: 2_500, hitRatio: 0.9, recommendedHitRatio: 0.899 },
  ],
}

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

async function run(answer: object, ...args: readonly string[]) {
  const paths: unknown[] = []
  const server = createServer((request, response) => {
    paths.push(`${request.method} ${request.url}`)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer))
  })
  ends.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const io = testIo()
  const { port } = server.address() as AddressInfo
  const code = await runCommand(['cache', ...args, `--admin=http://127.0.0.1:${port}`], io)
  server.closeAllConnections()
  return { code, out: io.lines.join('\n'), paths }
}

describe('intermix cache', () => {
  it('shows how memory is divided, what it saves, and which validities are suggested', async () => {
    const { code, out, paths } = await run(TUNING)
    expect([code, paths]).toEqual([0, ['GET /debug/tuning']])
    expect(out).toContain('Memory: 100 MiB, of which 70 are divided; moved 4 times, back 1 times; now: settled')
    expect(out).toMatch(/list\.handler\.prod +5 +20 +35 +1234\.6 +87\.6 +3\.46 +12\.3 +500 +12 +5\n/)
    expect(out).toMatch(/list\.handler\.prod +900 +2 +0\.123 +60 +0\.102 +58/)
    expect(out).toMatch(/sidecar-1 +10000 +2500 +90 +89\.9/)
    expect(out).not.toContain('by size')
  })

  it('shows curves where they are asked for', async () => {
    const { out } = await run(TUNING, '--curves')
    expect(out).toMatch(/Hits of list\.handler\.prod by size\n +MIB +HITS % +±\n +10 +70 +1\.2/)
  })

  it('says what caches have given back', async () => {
    const { out } = await run({ ...TUNING, memory: { ...TUNING.memory, givenBackBytes: 7 * MIB } })
    expect(out).toContain('now: settled; 7 MiB given back, since the process has little memory left')
  })

  it('says of each process of a node what it tells', async () => {
    const { out } = await run({ processes: { 'n-1': TUNING, 'n-2': { validity: [] } }, silent: [] })
    expect(out).toContain('Memory of n-1: 100 MiB')
    expect(out).toContain('the sizes of the caches of n-2 are fixed')
  })

  it('gives JSON as it came', async () => {
    expect(JSON.parse((await run(TUNING, '--json')).out)).toEqual(TUNING)
  })
})
