// Several configs and several meshes on one Redis: who evaluates what, and what becomes of what nobody does.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { MeshPresence } from '../../src/telemetry/mesh-presence.ts'
import { type Parcel, parcelOf } from '../../src/telemetry/parcel.ts'
import { meshPrefix } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { type ConfigUse, WorkerRuntime } from '../../workers/worker-runtime.ts'
import type { WorkerTuning } from '../../workers/worker-context.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

let redis: RedisServer
let link: RedisLink
const ends: (() => Promise<void>)[] = []

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  await untilUp(link)
})

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
  link.close()
  await redis.stop()
})

const digestOf = (...handlers: string[]) => snapshotOf(handlers).reportDigest
const LOOK_MS = 30
const BEAT_MS = 100
const SHORT: Partial<WorkerTuning> = {
  retries: { firstDelayMs: 10 },
  maintenanceMs: 50,
  orphanGraceMs: 200,
  formerRulesMs: 200,
  adoptMs: 200,
}

interface Self {
  rules: string
  adds: readonly string[]
}

let serial = 0

function presenceOf(
  mesh: string | undefined,
  seesAll: boolean,
  self: () => { adds: readonly string[]; runtime?: WorkerRuntime } & Self,
) {
  const log = new KeptLog()
  const meter = new ReadableMeter()
  const id = `process-${++serial}`
  const ports = { link, clock: realClock, log, meter }
  const presence = new MeshPresence({
    ...ports,
    prefix: 'shared',
    mesh,
    seesAll,
    beatMs: BEAT_MS,
    lookMs: LOOK_MS,
    patienceMs: LOOK_MS,
    ledger: new RedisLedger(link, meshPrefix('shared', mesh)),
    self: () => {
      const { rules, adds, runtime } = self()
      return { id, rules, adds, evaluates: runtime?.evaluates ?? [], delivers: runtime?.delivers ?? [] }
    },
  })
  ends.push(() => presence.stop())
  return { presence, log, meter, id }
}

/** A node of a mesh whose config names handlers; its config can change. */
function startNode(mesh: string | undefined, ...handlers: string[]) {
  const self: Self = { rules: digestOf(...handlers), adds: [] }
  const ports = presenceOf(mesh, false, () => ({ ...self, adds: [self.rules, ...queue.adds] }))
  const { presence, log, meter } = ports
  const prefix = meshPrefix('shared', mesh)
  const note = (rules: string) => presence.note(rules)
  const queue = new ReportQueue({ link, clock: realClock, log, meter, prefix, note })
  ends.push(() => queue.close())
  presence.tell()
  return {
    ...ports,
    queue,
    change(...now: string[]) {
      self.rules = digestOf(...now)
      presence.tell()
    },
    /** Accepts records for handlers under the config of this moment. */
    async accept(to: Record<string, number>): Promise<Parcel> {
      const [first, ...rest] = Object.entries(to).map(([name, count]) => batchTo(name, count))
      if (first === undefined) throw new Error('nothing to accept')
      const parcel = parcelOf([first, ...rest], first.id, 0, self.rules)
      const add = () =>
        queue.add(parcel).then(
          () => true,
          () => false,
        )
      await until(add, 'the parcel is added')
      return parcel
    },
    stop: async () => {
      await queue.close()
      await presence.stop()
    },
  }
}

interface WorkerOptions extends ConfigUse {
  readonly mesh?: string
  readonly tuning?: Partial<WorkerTuning>
  /** Of its config; those that it runs unless set. */
  readonly config?: readonly string[]
}

function startWorker(handlers: Record<string, Handler>, { mesh, tuning, config, ...use }: WorkerOptions = {}) {
  const snapshot = snapshotOf(config ?? Object.keys(handlers))
  const self: Self = { rules: snapshot.reportDigest, adds: [] }
  const ports = presenceOf(mesh, true, () => ({ ...self, runtime }))
  const { presence, log, meter } = ports
  const runtime: WorkerRuntime = new WorkerRuntime({
    redis: { url: redis.url },
    link,
    clock: realClock,
    random: fixedRandom,
    log,
    meter,
    mesh,
    prefix: meshPrefix('shared', mesh),
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    watch: presence.watch,
    onChange: () => presence.tell(),
    tuning: { ...SHORT, ...tuning },
  })
  ends.push(() => runtime.stop(1000))
  runtime.start(snapshot, new Map(Object.entries(handlers)), use)
  return {
    ...ports,
    runtime,
    change(now: Record<string, Handler>, how: ConfigUse = {}) {
      const next = snapshotOf(Object.keys(now))
      self.rules = next.reportDigest
      runtime.reload(next, new Map(Object.entries(now)), how)
    },
    stop: async () => {
      await runtime.stop(1000)
      await presence.stop()
    },
  }
}

const counting = (...names: string[]) => Object.fromEntries(names.map((name) => [name, new CountingHandler()]))
const total = (handlers: Record<string, Handler>, name: string) => (handlers[name] as CountingHandler).total
const ledgerOf = (mesh?: string) => new RedisLedger(link, meshPrefix('shared', mesh))

describe('workers with different configs', () => {
  it('evaluate only what was accepted under their own', async () => {
    const node = startNode(undefined, 'a', 'b')
    const [both, one] = [counting('a', 'b'), counting('a')]
    startWorker(one)
    startWorker(both)
    for (let i = 0; i < 20; i++) await node.accept({ a: 1, b: 1 })
    await until(() => total(both, 'a') + total(one, 'a') === 20, 'all records of a arrive')
    await until(() => total(both, 'b') === 20, 'all records of b arrive')
    expect((await ledgerOf().read()).get('fan-out')).toMatchObject({ accepted: 40, delivered: 40 })
  })

  it('of another mesh take nothing, neither reports nor what is made of them', async () => {
    const [ours, theirs] = [counting('a'), counting('a')]
    const node = startNode('ours', 'a')
    const foreign = startNode('theirs', 'a')
    startWorker(theirs, { mesh: 'theirs' })
    await node.accept({ a: 5 })
    await foreign.accept({ a: 2 })
    await until(() => total(theirs, 'a') === 2, 'theirs arrive')
    await until(() => node.meter.value('report_queues_unserved') === 1, 'ours are missed')
    expect(foreign.meter.value('report_queues_unserved')).toBe(0)
    startWorker(ours, { mesh: 'ours' })
    await until(() => total(ours, 'a') === 5, 'ours arrive')
    expect(total(theirs, 'a')).toBe(2)
    expect((await ledgerOf('theirs').read()).get('a')).toMatchObject({ accepted: 2, delivered: 2 })
  })

  it('evaluate by a former config for as long as a node has it, and deliver to the handlers that it had', async () => {
    const node = startNode(undefined, 'old')
    const [old, now] = [counting('old'), counting('now')]
    const released: string[] = []
    const worker = startWorker(old, { hold: () => () => void released.push('old') })
    worker.change(now)
    await node.accept({ old: 3, now: 4 })
    await until(() => total(old, 'old') === 3, 'the former rules hold')
    node.change('now')
    await node.accept({ old: 3, now: 4 })
    await until(() => total(now, 'now') === 4, 'the new rules hold')
    expect(total(old, 'old')).toBe(3)
    expect(released).toEqual([])
    await node.stop()
    await until(() => released.length === 1, 'the former rules are forgotten')
    await until(() => worker.runtime.evaluates.length === 1, 'its queue is left')
    expect(worker.runtime.evaluates).toEqual([digestOf('now')])
    expect(worker.runtime.delivers).toEqual(['now'])
  })

  it('make dead letters of what waits for a handler that has vanished, once it had time to deliver', async () => {
    const node = startNode(undefined, 'a')
    const handlers = counting('a')
    ;(handlers['a'] as CountingHandler).failWith = () => new Error('away')
    const worker = startWorker(handlers)
    await node.accept({ a: 6 })
    await until(() => (handlers['a'] as CountingHandler).calls > 0, 'a try has failed')
    worker.change(counting('b'))
    await node.stop()
    const letters = new DeadLetters({ link, ledger: ledgerOf(), prefix: 'shared' })
    ends.push(() => letters.close())
    await until(async () => (await letters.count()) === 1, 'it is a dead letter')
    expect((await letters.list({ limit: 1 }))[0]?.reason).toContain('not in the config any more')
    expect((await ledgerOf().read()).get('a')).toMatchObject({ accepted: 6, held: 6, deadLetters: 6 })
  })

  it('keep a bounded number of former configs', async () => {
    const worker = startWorker(counting('h0'), { tuning: { formerRulesMs: 60_000 } })
    for (let i = 1; i <= 12; i++) worker.change(counting(`h${i}`))
    expect(worker.runtime.evaluates).toHaveLength(9)
    expect(worker.runtime.evaluates).toContain(digestOf('h12'))
    expect(worker.runtime.evaluates).not.toContain(digestOf('h3'))
    worker.change(counting('h7'))
    expect(worker.runtime.evaluates).toHaveLength(9)
  })
})

describe('reports that nobody has the rules for', () => {
  it('are told of, once, and so is that they are served', async () => {
    const node = startNode(undefined, 'a')
    await node.accept({ a: 2 })
    await until(() => node.meter.value('report_queues_unserved') === 1, 'it is told')
    const told = () => node.log.lines.filter((line) => line.includes('nobody serves a report queue'))
    const looks = new Set<unknown>()
    await until(() => looks.add(node.presence.watch.last).size > 5, 'it is looked at again')
    expect(told()).toHaveLength(1)
    expect(told()[0]).toContain(digestOf('a').slice(0, 12))
    const handlers = counting('a')
    startWorker(handlers)
    await until(() => total(handlers, 'a') === 2, 'it arrives')
    await until(() => node.meter.value('report_queues_unserved') === 0, 'it is told, too')
    expect(node.log.lines.at(-1)).toContain('served again')
  })

  it('are looked for by one node, and known to all; when it ends, another one looks', async () => {
    const nodes = [startNode(undefined, 'a'), startNode(undefined, 'a'), startNode(undefined, 'a')]
    await nodes[0]?.accept({ a: 2 })
    const unserved = () => nodes.map(({ meter }) => meter.value('report_queues_unserved'))
    await until(() => unserved().every((count) => count === 1), 'all know it')
    const lookers = () => nodes.filter(({ presence }) => presence.watch.last !== undefined)
    const [first] = lookers()
    expect([lookers().length, nodes.flatMap(({ log }) => log.lines).length]).toEqual([1, 1])
    await first?.stop()
    await until(() => lookers().length === 2, 'another one looks')
    const handlers = counting('a')
    startWorker(handlers)
    const others = nodes.filter((node) => node !== first)
    await until(() => others.every(({ meter }) => meter.value('report_queues_unserved') === 0), 'all know that, too')
  })

  it('are evaluated under the present rules when nobody is left who could bring the former ones', async () => {
    const node = startNode(undefined, 'old', 'now')
    await node.accept({ old: 2, now: 3 })
    await node.stop()
    const handlers = counting('now')
    const worker = startWorker(handlers)
    await until(() => total(handlers, 'now') === 3, 'it is evaluated')
    expect(worker.log.lines.some((line) => line.includes('nobody is left who has the rules'))).toBe(true)
    await until(() => worker.runtime.evaluates.length === 1, 'the queue is left')
    await until(
      () => worker.presence.watch.last?.queues.every(({ rules }) => rules !== digestOf('old', 'now')) === true,
      'and forgotten',
    )
  })

  it('wait while a node has their rules, or others of the mesh have other rules', async () => {
    const node = startNode(undefined, 'old', 'now')
    await node.accept({ old: 2, now: 3 })
    const [handlers, others] = [counting('now'), counting('other')]
    const worker = startWorker(handlers, { tuning: { adoptMs: 0 } })
    const looks = new Set<unknown>()
    await until(() => looks.add(worker.presence.watch.last).size > 5, 'it has looked')
    const other = startWorker(others, { tuning: { adoptMs: 0 } })
    await node.stop()
    looks.clear()
    await until(() => looks.add(worker.presence.watch.last).size > 5, 'it has looked again')
    expect([total(handlers, 'now'), worker.runtime.evaluates.length]).toEqual([0, 1])
    await other.stop()
    await until(() => total(handlers, 'now') === 3, 'it is evaluated')
  })

  it('are taken from the queue of the version before', async () => {
    const node = startNode(undefined, 'a')
    const parcel = parcelOf([batchTo('a', 7)])
    await until(
      () =>
        node.queue.add(parcel).then(
          () => true,
          () => false,
        ),
      'it is added',
    ) // prettier-ignore
    const handlers = counting('a')
    startWorker(handlers)
    await until(() => total(handlers, 'a') === 7, 'it arrives')
  })
})

describe('processes that say in Redis what they serve', () => {
  const idsOf = (node: ReturnType<typeof startNode>) =>
    node.presence.look().then((seen) => seen?.members.map(({ id }) => id).toSorted())

  it('are there for as long as they say so, and at once no more when they end', async () => {
    const node = startNode(undefined, 'a')
    const worker = startWorker(counting('a'))
    await expect.poll(() => idsOf(node)).toEqual([node.id, worker.id].toSorted())
    await worker.stop()
    expect(await idsOf(node)).toEqual([node.id])
  })

  it('stay while Redis takes no writes for want of memory', async () => {
    const node = startNode(undefined, 'a')
    const worker = startWorker(counting('a'))
    const both = [node.id, worker.id].toSorted()
    await expect.poll(() => idsOf(node)).toEqual(both)
    await link.run((client) => client.config('SET', 'maxmemory', '1'))
    await expect(link.run((client) => client.set('k', 'v'))).rejects.toThrow('OOM')
    const looks = new Set<unknown>()
    await until(() => looks.add(worker.presence.watch.last).size > (10 * BEAT_MS) / LOOK_MS, 'longer than a sign holds')
    expect(await idsOf(node)).toEqual(both)
    await link.run((client) => client.config('SET', 'maxmemory', '0'))
  })

  it('are read again only where something has changed', async () => {
    const node = startNode(undefined, 'a')
    const worker = startWorker(counting('a'))
    const both = [node.id, worker.id].toSorted()
    await expect.poll(() => idsOf(node)).toEqual(both)
    const looks = new Set<unknown>()
    const looked = (times: number) => until(() => looks.add(worker.presence.watch.last).size > times, 'it has looked')
    // By then the worker, too, has read what both said last.
    await looked(3)
    const before = await scans()
    await looked(13)
    expect(await scans()).toBe(before)
    node.change('b')
    await until(async () => (await scans()) > before, 'it is read again')
  })

  it('are not known for longer than they give signs of life', async () => {
    const node = startNode(undefined, 'a')
    await expect.poll(() => idsOf(node)).toEqual([node.id])
    const [heard, said] = ['{shared-processes}:heard', '{shared-processes}:words']
    const strangers = Array.from({ length: 1_234 }, (_, i) => `stranger-${i}`)
    await link.run((client) => client.hset(said, Object.fromEntries(strangers.map((id) => [id, strange(id)]))))
    await link.run((client) => client.zadd(heard, ...strangers.flatMap((id) => [`${Date.now()}`, id])))
    await link.run((client) => client.del('{shared-processes}:version'))
    expect(await idsOf(node)).toHaveLength(1_235)
    await expect.poll(() => idsOf(node)).toEqual([node.id])
  })

  const strange = (id: string) => JSON.stringify({ id, rules: '', adds: [], evaluates: [], delivers: [] })
  const scans = async () => {
    const stats = await link.run((client) => client.info('commandstats'))
    return Number(/cmdstat_hscan:calls=(\d+)/.exec(stats)?.[1] ?? 0)
  }

  it('say it again to a Redis that has forgotten them', async () => {
    const node = startNode(undefined, 'a')
    await expect.poll(() => idsOf(node)).toEqual([node.id])
    await link.run((client) => client.flushall())
    await expect.poll(async () => (await idsOf(node))?.length).toBe(1)
    const worker = startWorker(counting('a'))
    await expect.poll(() => idsOf(node)).toEqual([node.id, worker.id].toSorted())
  })
})

describe('a worker for some handlers', () => {
  it('delivers to them alone, and what waits for them is nobody else’s to bury', async () => {
    const node = startNode(undefined, 'all', 'mine')
    const [full, own] = [counting('all'), counting('mine')]
    const config = ['all', 'mine']
    startWorker(full, { config })
    await node.accept({ all: 2, mine: 3 })
    await until(() => total(full, 'all') === 2, 'the others arrive')
    const label = 'handler mine'
    await until(
      () => node.log.lines.some((line) => line.includes('nobody serves') && line.includes(label)),
      'it is told',
    )
    const letters = new DeadLetters({ link, ledger: ledgerOf(), prefix: 'shared' })
    ends.push(() => letters.close())
    expect(await letters.count()).toBe(0)
    const plugIn = startWorker(own, { config, takesReports: false })
    expect(plugIn.runtime.evaluates).toEqual([])
    await until(() => total(own, 'mine') === 3, 'its own arrive')
    await node.accept({ all: 2, mine: 3 })
    await until(() => total(own, 'mine') === 6 && total(full, 'all') === 4, 'all arrive')
  })

  it('keeps others from burying what waits for a handler that only it knows', async () => {
    const node = startNode(undefined, 'mine')
    const own = counting('mine')
    ;(own['mine'] as CountingHandler).failWith = () => new Error('away')
    const plugIn = startWorker(own)
    await node.accept({ mine: 3 })
    await until(() => (own['mine'] as CountingHandler).calls > 0, 'a try has failed')
    const other = startWorker(counting('other'))
    const looks = new Set<unknown>()
    await until(() => looks.add(other.presence.watch.last).size > 20, 'it has looked for longer than its grace')
    const letters = new DeadLetters({ link, ledger: ledgerOf(), prefix: 'shared' })
    ends.push(() => letters.close())
    expect(await letters.count()).toBe(0)
    await plugIn.stop()
    await until(async () => (await letters.count()) === 1, 'when it has gone for good, it is a dead letter')
  })
})
