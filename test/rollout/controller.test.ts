// Controllers over a real Redis, before processes that follow the state: who leads, and what comes of it.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { assignedVersion } from '../../src/rollout/cohort.ts'
import { type PreflightResult, RolloutController } from '../../src/rollout/controller.ts'
import { rolloutKeys } from '../../src/rollout/keys.ts'
import { Observations } from '../../src/rollout/observations.ts'
import { RolloutStore } from '../../src/rollout/rollout-store.ts'
import { StageCounters, windowMsOf } from '../../src/rollout/stage-counters.ts'
import { phaseOf, stageKey } from '../../src/rollout/state.ts'
import { VersionStore } from '../../src/rollout/version-store.ts'
import type { ConfigVersion } from '../../src/rollout/version.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { filesOf, idOf, NO_WAIT, saying } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const PREFIX = 'test'
const keys = rolloutKeys(PREFIX)
const PACE = { ...NO_WAIT, stageMs: 0, pairs: 400, checks: 400 }

let clock: FakeClock
let isAway: boolean
let areVersionsAway: boolean
/** By how much the clock of Redis seems to be ahead. */
let leapMs: number
let log: KeptLog
let nodes: SimulatedNode[]

const wired = (isCut: () => boolean): RedisLink =>
  Object.assign(Object.create(link) as RedisLink, {
    run: async (...args: Parameters<RedisLink['run']>) => {
      if (isCut()) throw new IntermixError('REDIS_UNAVAILABLE', 'away')
      return await link.run(...args)
    },
  })
const wire = wired(() => isAway)
const store = new RolloutStore({ link: wire, prefix: PREFIX })
const versions = new VersionStore({ link: wired(() => isAway || areVersionsAway), prefix: PREFIX })
const observations = new Observations({ link: wire, prefix: PREFIX })

const leaping: Pick<RolloutStore, 'view' | 'apply' | 'lease' | 'release'> = {
  view: async () => {
    const view = await store.view()
    return { ...view, now: view.now + leapMs }
  },
  apply: (...args) => store.apply(...args),
  lease: (owner) => store.lease(owner),
  release: (owner) => store.release(owner),
}

/** Answers 250 checks between two looks, by the version that it is to run, and may lead. */
class SimulatedNode {
  readonly name: string
  readonly controller: RolloutController
  readonly touched = new Set<string>()
  readonly #counters = new StageCounters(clock)
  readonly tried: string[] = []
  preflight: (version: ConfigVersion) => Promise<PreflightResult> = async () =>
    await Promise.resolve({ verdict: 'pass', reason: 'fine' })
  /** It denies every check where it answers by this version. */
  denies: string | undefined
  isDead = false
  /** The version by which it cannot serve. */
  illWith: string | undefined
  #pairs = 0
  #stage = ''

  constructor(name: string) {
    this.name = name
    this.controller = new RolloutController({
      store: leaping,
      observations,
      versions,
      node: name,
      clock,
      log,
      meter: new ReadableMeter(),
      preflight: async (version) => {
        this.tried.push(version.meta.id)
        return await this.preflight(version)
      },
    })
  }

  async beat(): Promise<void> {
    if (this.isDead) return
    const state = await store.state()
    const assigned = assignedVersion(state, this.name)
    const stage = stageKey(state)
    if (stage !== this.#stage) this.#pairs = 0
    this.#stage = stage
    if (assigned !== undefined) this.touched.add(assigned.version)
    this.#counters.enter(stage, assigned?.version, windowMsOf(state))
    for (let n = 0; n < 250; n++) {
      const outcome = assigned?.version === this.denies ? 'deny' : 'allow'
      this.#counters.count({ outcome, isUnknown: false, rule: 'r.ns', us: 100 + (n % 10) })
    }
    if (assigned?.role === 'shadow') this.#pairs += 250
    const shadow = assigned?.role === 'shadow' ? { pairs: this.#pairs, incomparable: 0, flips: [] } : undefined
    const version = assigned?.version
    const isHealthy = version === undefined || version !== this.illWith
    const said = saying({ version, stage, rev: state.rev, counters: this.#counters.counters(), shadow, isHealthy })
    await observations.observe(this.name, said)
  }

  /** It ends in good order. */
  async leave(): Promise<void> {
    const state = await store.state()
    const version = assignedVersion(state, this.name)?.version
    await observations.observe(this.name, saying({ version, stage: stageKey(state), isLeaving: true }))
    await this.controller.stop()
  }
}

/** All processes speak, and all controllers look; a moment passes. */
async function turn(): Promise<void> {
  for (const node of nodes) await node.beat()
  for (const node of nodes) if (!node.isDead) await node.controller.look()
  await clock.advance(1_000)
}

/** Turns until things stand so. */
async function until(phase: string, most = 60): Promise<void> {
  for (let n = 0; n < most; n++) {
    if (phaseOf(await store.state()) === phase) return
    await turn()
  }
  expect(phaseOf(await store.state())).toBe(phase)
}

async function publish(name: string) {
  await versions.keep(filesOf(name), { author: 'ops', message: '' })
  const wish = { kind: 'publish', version: idOf(name), by: 'ops', pace: PACE, expectations: [], again: false } as const
  return await store.operate({ ...wish, id: `try ${name}` })
}

async function settle(name: string): Promise<void> {
  await publish(name)
  await until('idle')
  expect((await store.state()).stable).toBe(idOf(name))
}

const touchedBy = (name: string) => nodes.filter(({ touched }) => touched.has(idOf(name))).map((node) => node.name)

beforeEach(() => {
  clock = new FakeClock()
  isAway = false
  areVersionsAway = false
  leapMs = 0
  log = new KeptLog()
  nodes = Array.from({ length: 4 }, (_, n) => new SimulatedNode(`n${n}`))
})

afterEach(async () => {
  for (const node of nodes) await node.controller.stop()
})

describe('a controller', () => {
  it('leads what is harmless through all stages, and everybody runs it in the end', async () => {
    await settle('a')
    await publish('b')
    await until('idle')
    expect(await store.state()).toMatchObject({ stable: idOf('b'), previous: [idOf('a')] })
    expect(touchedBy('b')).toHaveLength(4)
    const events = (await store.log(20)).map(({ event }) => event).toReversed()
    expect(events.slice(3)).toEqual([
      'publish',
      'begin-preflight',
      'pass-preflight',
      ...Array.from({ length: 6 }, () => 'advance'),
    ])
  })

  it('rolls poison back before a second node has it, and nobody gets it again by itself', async () => {
    await settle('a')
    for (const node of nodes) node.denies = idOf('b')
    await publish('b')
    await until('rolling-back')
    await until('idle')
    expect(touchedBy('b')).toHaveLength(1)
    expect(await store.state()).toMatchObject({ stable: idOf('a'), ended: [{ outcome: 'rolled-back' }, {}] })
    expect(log.lines.find((line) => line.startsWith('error'))).toContain('denials')
    expect(await publish('b')).toMatchObject({ kind: 'refused', refused: 'quarantined' })
  })

  it('goes on where a deployment replaces all nodes of a share by others', async () => {
    nodes = Array.from({ length: 8 }, (_, n) => new SimulatedNode(`n${n}`))
    await settle('a')
    await publish('b')
    await until('5%')
    const old = nodes
    nodes = Array.from({ length: 8 }, (_, n) => new SimulatedNode(`m${n}`))
    for (const node of old) await node.leave()
    await until('25%')
    expect(touchedBy('b')).toHaveLength(1)
    const events = (await store.log(20)).map(({ event }) => event)
    expect(events.slice(0, 3)).toEqual(['advance', 'choose-cohort', 'advance'])
    await until('idle')
    expect((await store.state()).stable).toBe(idOf('b'))
    for (const node of old) await node.controller.stop()
  })

  it('begins a stage again that would begin in an hour, as Redis has failed over to a clock that is behind', async () => {
    await settle('a')
    await publish('b')
    await until('5%')
    const later = String(Date.now() + 3_600_000)
    await link.run((client) => client.hset(keys.state, 'since', later))
    await link.run((client) => client.zadd(keys.seen, later, 'gone'))
    await link.run((client) => client.hset(keys.observations, 'gone', JSON.stringify(saying())))
    await turn()
    expect(await store.log(1)).toMatchObject([{ event: 'begin-again' }])
    // Who has died does not seem to speak for an hour.
    const [known] = await link.run((client) => client.zmscore(keys.seen, 'gone'))
    expect(Number(known)).toBeLessThan(Number(later) - 3_000_000)
    await link.run((client) => client.zrem(keys.seen, 'gone'))
    await until('idle')
    expect((await store.state()).stable).toBe(idOf('b'))
  })

  it('begins a stage again, and takes nobody for silent, where the clock of Redis leaps ahead', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    await turn()
    leapMs = 3_600_000
    for (const node of nodes) await node.controller.look()
    expect(await store.log(1)).toMatchObject([
      { event: 'begin-again', entry: expect.stringContaining('leapt ahead by') },
    ])
    // What is written has the time of the real one.
    leapMs = 0
    for (const node of nodes) await node.controller.look()
    expect(await store.log(1)).toMatchObject([{ event: 'begin-again' }])
    expect(phaseOf(await store.state())).toBe('one-node')
    await until('idle')
    expect((await store.state()).stable).toBe(idOf('b'))
  })

  it('rolls back for a vote, and within a look', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    const { rollout } = await store.state()
    await observations.vote({ node: rollout?.first ?? '', version: idOf('b'), reason: 'it crashed twice' })
    await turn()
    expect(phaseOf(await store.state())).toBe('rolling-back')
  })

  it('rolls back where a node cannot serve by it for half a minute', async () => {
    await settle('a')
    for (const node of nodes) node.illWith = idOf('b')
    await publish('b')
    await until('one-node')
    for (let n = 0; n < 25; n++) await turn()
    expect(phaseOf(await store.state())).toBe('one-node')
    await until('rolling-back')
    expect((await store.state()).rollout?.reason).toContain('cannot serve for 30 s')
  })

  it('is not the node that runs the candidate first', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    await turn()
    const { state, controller } = await store.view()
    expect(controller).toBeDefined()
    expect(controller).not.toBe(state.rollout?.first)
  })

  it('is followed by another one when it is killed', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    await turn()
    const { controller } = await store.view()
    const dead = nodes.find(({ name }) => name === controller)
    if (dead === undefined) throw new Error('nobody leads')
    dead.controller.stop = async () => await Promise.resolve()
    // It goes without a word; its lease ends by itself.
    nodes = nodes.filter((node) => node !== dead)
    await link.run(async (client) => await Promise.all([client.del(keys.lease), client.zrem(keys.seen, dead.name)]))
    await until('idle')
    expect((await store.state()).stable).toBe(idOf('b'))
  })

  it('gives its lease back when it stops, and leads no more', async () => {
    await settle('a')
    await publish('b')
    await turn()
    const { controller } = await store.view()
    const leader = nodes.find(({ name }) => name === controller)
    await leader?.controller.stop()
    expect((await store.view()).controller).toBeUndefined()
  })

  it('changes nothing while Redis is away, says so once, and goes on afterwards', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    const before = await store.state()
    isAway = true
    log.lines.length = 0
    for (let n = 0; n < 60; n++) {
      for (const node of nodes) await node.controller.look()
      await clock.advance(1_000)
    }
    expect(log.lines.filter((line) => line.includes('stand still'))).toHaveLength(4)
    isAway = false
    expect(await store.state()).toEqual(before)
    await until('idle')
    expect((await store.state()).stable).toBe(idOf('b'))
  })

  it('leads no stage further before it has listened for a while behind an outage', async () => {
    await settle('a')
    await publish('b')
    await until('one-node')
    isAway = true
    for (const node of nodes) await node.controller.look()
    isAway = false
    for (let n = 0; n < 15; n++) {
      await turn()
      expect(phaseOf(await store.state())).toBe('one-node')
    }
    await until('5%', 3)
    // Once is enough.
    await until('idle', 10)
    expect(await store.state()).toMatchObject({ stable: idOf('b') })
  })

  it('looks by itself until it is stopped', async () => {
    await publish('a')
    for (const node of nodes) node.controller.start()
    await expect
      .poll(async () => {
        for (const node of nodes) await node.beat()
        await clock.advance(2_000)
        return (await store.state()).stable
      })
      .toBe(idOf('a'))
    for (const node of nodes) await node.controller.stop()
    expect(clock.pending).toBe(0)
  })
})

describe('a pre-flight', () => {
  beforeEach(() => settle('a'))

  const all = (preflight: SimulatedNode['preflight']) => {
    for (const node of nodes) node.preflight = preflight
  }

  it('that fails rejects the candidate, which no node has touched', async () => {
    all(async () => await Promise.resolve({ verdict: 'fail', reason: 'rule x takes 5 s' }))
    await publish('b')
    await until('idle')
    expect((await store.state()).ended[0]).toMatchObject({ outcome: 'rejected', reason: 'rule x takes 5 s' })
    expect(touchedBy('b')).toEqual([])
    expect(await publish('b')).toMatchObject({ refused: 'quarantined' })
  })

  it('that cannot be made is tried by another node, three times', async () => {
    all(async () => await Promise.reject(new Error('no thread')))
    await publish('b')
    await until('idle')
    expect((await store.state()).ended[0]).toMatchObject({ outcome: 'rejected' })
    expect(nodes.flatMap(({ tried }) => tried).filter((id) => id === idOf('b'))).toHaveLength(3)
  })

  it('that passes where no node could evaluate it says so, once', async () => {
    await settle('a')
    for (const node of nodes) node.illWith = idOf('a')
    await publish('b')
    for (let n = 0; n < 8; n++) await turn()
    expect(phaseOf(await store.state())).toBe('preflight')
    expect(log.lines.filter((line) => line.includes('it goes no further'))).toHaveLength(1)
    for (const node of nodes) node.illWith = undefined
    await until('shadow')
  })

  it('of a version that Redis does not hold fails', async () => {
    const wish = { kind: 'publish', version: idOf('c'), by: 'ops', pace: PACE, expectations: [], again: false } as const
    await store.operate({ ...wish, id: 'c' })
    await until('idle')
    expect((await store.state()).ended[0]?.reason).toContain('Redis holds no version')
  })

  it('does not begin while the version cannot be read', async () => {
    await publish('b')
    areVersionsAway = true
    for (let n = 0; n < 10; n++) await turn()
    areVersionsAway = false
    expect((await store.state()).rollout).toMatchObject({ stage: 'preflight', attempts: 0 })
    await until('shadow')
  })

  it('of a version that is damaged fails', async () => {
    await publish('b')
    await link.run((client) => client.hset(keys.blobs, idOf('b'), 'x'))
    await until('idle')
    expect((await store.state()).ended[0]?.reason).toContain('is damaged')
  })

  it('is made once, however long it takes, while the lease is kept', async () => {
    let finish: (result: PreflightResult) => void = () => undefined
    all(async () => await new Promise((resolve) => void (finish = resolve)))
    await publish('b')
    for (let n = 0; n < 20; n++) await turn()
    expect(nodes.flatMap(({ tried }) => tried).filter((id) => id === idOf('b'))).toHaveLength(1)
    finish({ verdict: 'pass', reason: '' })
    await until('shadow')
  })

  it('is made again when its controller has died, until it is held to be what they die of', async () => {
    all(async () => await new Promise(() => undefined))
    await publish('b')
    for (const { controller, name } of nodes.slice(0, 3)) {
      for (const node of nodes) await node.beat()
      await controller.look()
      await controller.look()
      expect((await store.view()).controller).toBe(name)
      await link.run((client) => client.del(keys.lease))
    }
    expect((await store.state()).rollout?.attempts).toBe(3)
    await nodes[3]?.controller.look()
    expect((await store.state()).ended[0]).toMatchObject({ outcome: 'rejected' })
  })
})
