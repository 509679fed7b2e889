// What it costs nodes to sign and encrypt the verdicts that they share: `node load/mesh-key.ts --help`.

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnyAdapter } from '../src/adapter-kit/define-adapter.ts'
import { MeshKeys } from '../src/cache/mesh-keys.ts'
import { MeshTier } from '../src/cache/mesh-tier.ts'
import type { VerdictEntry } from '../src/cache/verdict-entry.ts'
import type { HandlerConfig } from '../src/config/snapshot.ts'
import type { MeshSeal } from '../src/kernel/mesh-signatures.ts'
import { systemClock as clock, systemRandom as random } from '../src/kernel/system-clock.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createMeter } from '../src/observe/meter.ts'
import { connectRedis } from '../src/redis/connection.ts'
import { runCommand } from './kit/command.ts'
import { alternate, medianOf, ratioOf, ratioText } from './kit/pairs.ts'
import { printTable, saveResults } from './output.ts'
import { startRedis } from './redis-process.ts'

const help = `node load/mesh-key.ts [OPTIONS]: processor time of a node for a verdict that it stores in Redis, and for one that it finds there

  --verdicts N   of each round; default 5000
  --rounds N     of all ways in turn; default 9
  --headers N    bytes of headers that a denial carries; default 200

Through the mesh tier and over a connection, 64 under way, with a private redis-server, whose own time does not count.`

const options = {
  verdicts: { type: 'string', default: '5000' },
  rounds: { type: 'string', default: '9' },
  headers: { type: 'string', default: '200' },
} as const

const AT_ONCE = 64
const VALID_MS = 3_600_000
const MAX_USES = 1_000_000

interface Costs {
  /** Microseconds of this process. */
  readonly put: number
  readonly get: number
}

const handler: HandlerConfig = {
  name: 'measured.handler.load',
  adapter: { name: 'measured', doesIo: true, templates: [] } as Partial<AnyAdapter> as AnyAdapter,
  params: {},
  digest: 'digest',
  timeoutMs: 1_000,
  reportTimeoutMs: 1_000,
  staleIfErrorMs: 0,
  staleWhileRevalidateMs: 0,
  maxDenyValidForMs: undefined,
  costPerCall: 0,
}

function denial(headerBytes: number): VerdictEntry {
  const createdAt = Math.floor(clock.monotonic())
  const directResponse = { code: 403, body: 'no', headers: { 'x-filled': 'x'.repeat(headerBytes) } }
  const life = { validForMs: VALID_MS, validUses: MAX_USES }
  const freshUntil = createdAt + VALID_MS - 1_000
  return {
    verdict: { kind: 'deny', status: { code: 7, message: 'no' }, ...life, directResponse },
    createdAt,
    freshUntil,
    staleUntil: freshUntil,
    epoch: { generation: `${'0'.repeat(36)}-1/1@1`, sequence: 3 },
    isFetched: true,
    fetchMs: 5,
    usesLeft: MAX_USES,
    hits: 0,
    lastHitAt: createdAt,
    answers: 0,
  }
}

/** Microseconds of processor time for each of `count` runs. */
async function measured(count: number, run: (at: number) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  let next = 0
  const lane = async () => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}

await runCommand({ options, help }, async (values, defer) => {
  const [verdicts, rounds, headerBytes] = [values.verdicts, values.rounds, values.headers].map(Number) as [
    number,
    number,
    number,
  ]
  if (!(verdicts > 0 && rounds > 0 && headerBytes >= 0)) throw new Error('all options take numbers; see --help')
  const folder = await mkdtemp(join(tmpdir(), 'intermix-mesh-key-'))
  defer(() => rm(folder, { recursive: true }))
  const file = join(folder, 'mesh.key')
  await writeFile(file, randomBytes(32).toString('base64'), { mode: 0o600 })
  const redis = await startRedis()
  defer(() => redis.stop())
  const log = createLogger({ level: 'error', format: 'json', write: () => undefined, terminal: false })
  const meter = createMeter()
  const ports = { clock, random, log, meter }
  const link = connectRedis({ ...ports, access: { url: redis.url }, role: 'cache', commandTimeoutMs: 10_000 })
  defer(() => Promise.resolve(link.close()))
  await new Promise<void>((resolve) => void link.onUp(resolve))

  let runs = 0
  const costs = async (seal: MeshSeal | undefined): Promise<Costs> => {
    const tier = new MeshTier({ link, seal, clock, meter, prefix: 'load', nodeId: `n${++runs}` })
    const entry = denial(headerBytes)
    const keyOf = (at: number) => `${runs}-${at}`.padEnd(43, '-')
    const first = await tier.lookup(keyOf(0), question(tier))
    const put = await measured(verdicts, (at) =>
      tier.fill(keyOf(at), entry, { token: '', uses: MAX_USES, seen: first.seen }),
    )
    let fresh = 0
    const get = await measured(verdicts, async (at) => {
      if ((await tier.lookup(keyOf(at), question(tier))).state === 'fresh') fresh++
    })
    if (fresh !== verdicts) throw new Error(`${fresh} of ${verdicts} verdicts were found`)
    return { put, get }
  }
  const keys = (encrypts: boolean) =>
    new MeshKeys({ file, mode: 'require', encrypts, prefix: 'load', clock, log, meter })
  const ways = { 'without a key': undefined, signed: keys(false), 'signed and encrypted': keys(true) }
  for (const seal of Object.values(ways)) await costs(seal)
  const results = await alternate(
    Object.values(ways).map((seal) => () => costs(seal)),
    rounds,
  )
  const base = results[0] ?? []
  const column = (list: readonly Costs[], of: keyof Costs) => list.map((each) => each[of])
  const rows = Object.keys(ways).map((way, index) => {
    const list = results[index] ?? []
    const told = (of: keyof Costs) => ({
      [`${of}, µs`]: Number(medianOf(column(list, of)).toFixed(1)),
      [`${of}, ratio`]: index === 0 ? '1' : ratioText(ratioOf(column(list, of), column(base, of))),
    })
    return { way, ...told('put'), ...told('get') }
  })
  printTable(rows)
  await saveResults('mesh-key', { verdicts, rounds, headerBytes, rows })
})

function question(tier: MeshTier) {
  return { token: tier.token(), leaseMs: 100, known: undefined, maxUses: 1, maxStaleUses: 0, handler }
}
