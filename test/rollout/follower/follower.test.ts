import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { BootGuard } from '../../../src/rollout/follower/boot-guard.ts'
import { FollowedVersions } from '../../../src/rollout/follower/followed-versions.ts'
import { Follower, type FollowingProcess, type Taken } from '../../../src/rollout/follower/follower.ts'
import { ObservedChecks } from '../../../src/rollout/follower/observed-checks.ts'
import { PROOF_MS, Teller } from '../../../src/rollout/follower/teller.ts'
import { VersionDisk } from '../../../src/rollout/follower/version-disk.ts'
import { VersionSource } from '../../../src/rollout/follower/version-source.ts'
import { Masking } from '../../../src/rollout/masking.ts'
import { Observations } from '../../../src/rollout/observations.ts'
import { RecordedBags } from '../../../src/rollout/recorded-bags.ts'
import { RolloutStore, type Wish } from '../../../src/rollout/rollout-store.ts'
import { StageCounters } from '../../../src/rollout/stage-counters.ts'
import { NO_BASELINE, stageKey } from '../../../src/rollout/state.ts'
import { VersionStore } from '../../../src/rollout/version-store.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { sharedRedis } from '../../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { filesOf, idOf, NO_WAIT } from '../support.ts'
import { killedLater } from './killed-later.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const place = { link, prefix: 'follow' }
const store = new RolloutStore(place)
const versions = new VersionStore(place)
const observations = new Observations(place)

/** So little that a disk that is slow takes no minutes of a clock. */
const STEP_MS = 10
const FACTS = { author: 'ops', message: '' }

async function operate(...wishes: readonly Wish[]): Promise<void> {
  for (const wish of wishes) expect(await store.operate(wish)).toMatchObject({ kind: 'done' })
}

async function publish(name: string, id = `try-${name}`, namespaces: readonly string[] = []): Promise<void> {
  await versions.keep(filesOf(name), FACTS)
  const more = { pace: NO_WAIT, expectations: [], namespaces, again: true }
  await operate({ kind: 'publish', version: idOf(name), id, by: 'ops', ...more }, { kind: 'begin-preflight', by: 'c' })
}

/** A first version that is stable. */
async function settle(name: string): Promise<void> {
  await publish(name)
  await operate({ kind: 'pass-preflight', by: 'c', first: undefined, isServed: false })
}

async function advance(from: 'shadow' | 'namespaces' | 'one-node' | '5%' | '25%' | '50%' | '100%'): Promise<void> {
  await operate({ kind: 'advance', from, by: 'c', threshold: 1, seen: NO_BASELINE, reason: 'test' })
}

/** Another node has run it, and then all: it is stable. */
async function become(name: string): Promise<void> {
  await publish(name)
  await operate({ kind: 'pass-preflight', by: 'c', first: 'b', isServed: true })
  for (const stage of ['shadow', 'one-node', '5%', '25%', '50%', '100%'] as const) await advance(stage)
}

interface Machine {
  readonly folder: string
  /** Versions that this machine cannot take into use. */
  readonly refuses: Set<string>
  isAway: boolean
}

async function machine(): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-follow-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return { folder, refuses: new Set(), isAway: false }
}

/** A process of a machine; those that are started later find what it has left on the disk. */
async function boot({ folder, refuses, ...initial }: Machine, machineOf = initial) {
  const clock = new FakeClock()
  const log = new KeptLog()
  const disk = new VersionDisk(folder, { clock, log, meter: new ReadableMeter(), identity: killedLater() })
  await disk.claim()
  const guard = new BootGuard(disk, clock)
  const source = new VersionSource('a Redis', clock)
  const away = <T>(call: () => Promise<T>) => (state.isAway ? Promise.reject(new Error('away')) : call())
  const state = { isAway: machineOf.isAway, isHealthy: true, shadow: undefined as string | undefined, isTrial: false }
  const files = new FollowedVersions({ read: (id) => away(() => versions.read(id)) }, disk, log)
  const stateStore = { state: () => away(() => store.state()) }
  const follower = new Follower({
    clock,
    log,
    meter: new ReadableMeter(),
    node: 'a',
    store: stateStore,
    versions: files,
    guard,
    source,
    stageKey,
  })
  onTestFinished(() => follower.stop())
  const counters = new StageCounters(clock)
  const recorded = new RecordedBags({ clock, random: () => 0.5, masking: new Masking() })
  const checks = new ObservedChecks(counters, recorded)
  const isHealthy = () => state.isHealthy
  const told = { clock, log, node: 'a', kind: 'node', follower, guard, observations, counters, checks } as const
  const teller = new Teller({ ...told, isHealthy, onProved: () => undefined })
  const taken = async (isTrial: boolean): Promise<Taken> => {
    state.isTrial = isTrial
    const id = await source.fingerprint()
    return refuses.has(id) ? { ok: false, reason: 'it refuses it' } : { ok: true }
  }
  const process: FollowingProcess = {
    take: taken,
    trust: () => {
      state.isTrial = false
    },
    shadow: (candidate) => {
      state.shadow = candidate?.attempt.version
      return Promise.resolve({ ok: true })
    },
  }
  /** Starts it, as far as it gets while time passes. */
  const start = async (longestMs = Infinity) => {
    const first = follower.first().then(() => 'started' as const)
    for (let waited = 0; ; waited += STEP_MS) {
      if (waited >= longestMs) return undefined
      await clock.advance(STEP_MS)
      // Redis and the disk are real, and so is their time.
      if ((await Promise.race([first, link.run((client) => client.ping())])) === 'started') break
    }
    await first
    follower.start(process)
    return follower.running
  }
  return { clock, log, guard, follower, teller, state, start, source, disk }
}

beforeEach(async () => {
  await link.run((client) => client.flushdb())
})

describe('a process that follows rollouts', () => {
  it('waits for a first version, and runs it', async () => {
    const { follower, start, clock } = await boot(await machine())
    const started = start()
    await settle('v1')
    expect(await started).toBe(idOf('v1'))
    expect(follower.assignment).toMatchObject({ role: 'stable' })
    expect(clock.pending).toBeGreaterThan(0)
  })

  it('shadows, answers by and keeps a candidate as its stages go', async () => {
    await settle('v1')
    const { follower, start, state } = await boot(await machine())
    await start()
    await publish('v2')
    await follower.look()
    expect(follower.running).toBe(idOf('v1'))
    await operate({ kind: 'pass-preflight', by: 'c', first: 'a', isServed: true })
    await follower.look()
    expect([follower.running, state.shadow]).toEqual([idOf('v1'), idOf('v2')])
    await advance('shadow')
    await follower.look()
    expect([follower.running, state.shadow]).toEqual([idOf('v2'), undefined])
    expect(follower.candidate).toEqual({ version: idOf('v2'), rollout: 'try-v2' })
    for (const stage of ['one-node', '5%', '25%', '50%', '100%'] as const) await advance(stage)
    await follower.look()
    expect(follower.running).toBe(idOf('v2'))
    expect(follower.candidate).toBeUndefined()
  })

  it('has the stable version behind a candidate for as long as others answer by it', async () => {
    await settle('v1')
    const { follower, start, state } = await boot(await machine())
    await start()
    expect(state.isTrial).toBe(false)
    await candidate('v2')
    await follower.look()
    expect(state.isTrial).toBe(true)
    for (const stage of ['one-node', '5%', '25%'] as const) await advance(stage)
    await follower.look()
    expect(state.isTrial).toBe(true)
    await advance('50%')
    await follower.look()
    expect([follower.running, state.isTrial]).toEqual([idOf('v2'), false])
  })

  it('knows the namespaces that are tried, for as long as that stage lasts', async () => {
    await settle('v1')
    const { follower, start } = await boot(await machine())
    await start()
    await publish('v2', 'try-v2', ['shop'])
    await operate({ kind: 'pass-preflight', by: 'c', first: 'a', isServed: true })
    await advance('shadow')
    await follower.look()
    expect([follower.running, follower.namespaces]).toEqual([idOf('v2'), new Set(['shop'])])
    await advance('namespaces')
    await follower.look()
    expect([follower.running, follower.namespaces, follower.tried]).toEqual([idOf('v2'), undefined, undefined])
  })

  it('tries a candidate by no other namespaces where its rollout ends and it cannot be left', async () => {
    await settle('v1')
    const own = await machine()
    const { follower, start } = await boot(own)
    await start()
    await candidate('v2', 'try-v2', ['shop'])
    await follower.look()
    own.refuses.add(idOf('v1'))
    await publish('v3', 'try-v3')
    await follower.look()
    expect([follower.running, follower.namespaces, follower.tried]).toEqual([idOf('v2'), undefined, new Set(['shop'])])
    own.refuses.clear()
    await operate({ kind: 'pass-preflight', by: 'c', first: 'a', isServed: true })
    await advance('shadow')
    await follower.look()
    expect([follower.running, follower.tried]).toEqual([idOf('v3'), undefined])
  })

  it('has the stable version behind a candidate that follows another one at once', async () => {
    await settle('v1')
    const { follower, start, state } = await boot(await machine())
    await start()
    await candidate('v2')
    await follower.look()
    // It was not looked at in between.
    await candidate('v3', 'try-v3', ['shop'])
    await follower.look()
    expect([follower.running, state.isTrial, follower.tried]).toEqual([idOf('v3'), true, new Set(['shop'])])
  })

  it('runs no candidate by some namespaces where the stable version cannot be behind it', async () => {
    await settle('v0')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await prove(first)
    await become('v1')
    await candidate('v2', 'try-v2', ['shop'])
    const second = await boot(own)
    second.guard.reject({ version: idOf('v1'), rollout: '' }, 'test')
    expect(await second.start()).toBe(idOf('v0'))
    await second.follower.look()
    expect(second.follower.running).toBe(idOf('v0'))
    await advance('namespaces')
    await second.follower.look()
    expect([second.follower.running, second.state.isTrial]).toEqual([idOf('v2'), false])
  })

  it('has nothing behind what it goes back to', async () => {
    await settle('v1')
    const { follower, start, state } = await boot(await machine())
    await start()
    await candidate('v2')
    await follower.look()
    await operate({ kind: 'fail', by: 'c', reason: 'test' })
    await follower.look()
    expect([follower.running, state.isTrial]).toEqual([idOf('v1'), false])
  })

  it('goes back when a candidate is rolled back', async () => {
    await settle('v1')
    const { follower, start } = await boot(await machine())
    await start()
    await candidate('v2')
    await follower.look()
    expect(follower.running).toBe(idOf('v2'))
    await operate({ kind: 'fail', by: 'c', reason: 'test' })
    await follower.look()
    expect(follower.running).toBe(idOf('v1'))
  })

  it('keeps what runs while Redis is away', async () => {
    await settle('v1')
    const { follower, start, state, log } = await boot(await machine())
    await start()
    state.isAway = true
    await candidate('v2')
    await follower.look()
    await follower.look()
    expect(follower.running).toBe(idOf('v1'))
    expect(log.lines.filter((line) => line.includes('cannot be followed'))).toHaveLength(1)
    state.isAway = false
    await follower.look()
    expect(follower.running).toBe(idOf('v2'))
  })

  it('keeps what runs, and says so to the others, where it cannot use a candidate', async () => {
    await settle('v1')
    const own = await machine()
    const { follower, start, teller, source } = await boot(own)
    await start()
    own.refuses.add(idOf('v2'))
    await candidate('v2')
    await follower.look()
    await teller.beat()
    expect(follower.running).toBe(idOf('v1'))
    expect(await source.fingerprint()).toBe(idOf('v1'))
    const { votes, observations: said } = await observations.read()
    expect(votes).toEqual([{ node: 'a', version: idOf('v2'), rollout: 'try-v2', reason: 'it refuses it' }])
    expect(said).toMatchObject([{ node: 'a', version: idOf('v1'), isHealthy: true }])
    // Tried again in another rollout.
    own.refuses.clear()
    await operate({ kind: 'fail', by: 'c', reason: 'test' }, { kind: 'finish-rollback', by: 'c' })
    await candidate('v2', 'another-try')
    await follower.look()
    expect(follower.running).toBe(idOf('v2'))
  })
})

describe('a process that starts again', () => {
  it('starts without Redis from what it served well by', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await prove(first)
    own.isAway = true
    const second = await boot(own)
    expect(await second.start()).toBe(idOf('v1'))
  })

  it('starts from that, too, where Redis has lost everything', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await prove(first)
    await link.run((client) => client.flushdb())
    expect(await (await boot(own)).start()).toBe(idOf('v1'))
  })

  it('waits without Redis where it has nothing', async () => {
    const own = { ...(await machine()), isAway: true }
    const { start, log } = await boot(own)
    expect(await start(6_000)).toBeUndefined()
    expect(log.lines.join('\n')).toContain('waiting for a version of the config: Redis cannot be asked')
  })

  it('runs another version than one that it did not outlive twice, and votes it bad', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await prove(first)
    await candidate('v2')
    await first.follower.look()
    expect(first.follower.running).toBe(idOf('v2'))
    // Killed, twice; it starts with what is to be behind the candidate.
    const again = await boot(own)
    expect(await again.start()).toBe(idOf('v1'))
    await again.follower.look()
    expect([again.follower.running, again.state.isTrial]).toEqual([idOf('v2'), true])
    const third = await boot(own)
    await third.start()
    await third.follower.look()
    expect(third.follower.running).toBe(idOf('v1'))
    await third.teller.beat()
    expect((await observations.read()).votes).toMatchObject([{ node: 'a', version: idOf('v2') }])
  })

  it('runs another version at once than one that ended it by an error', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await candidate('v2')
    await first.follower.look()
    first.guard.crashed(new Error('boom'), first.follower.candidate)
    const second = await boot(own)
    // Not proved here, but stable in the mesh.
    expect(await second.start()).toBe(idOf('v1'))
    await second.teller.beat()
    expect((await observations.read()).votes[0]?.reason).toContain('boom')
  })

  it('goes back to the stable version by itself, which twice it did not outlive', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    await prove(first)
    await become('v2')
    await first.follower.look()
    expect(first.follower.running).toBe(idOf('v2'))
    // The machine had no memory left, twice.
    expect(await (await boot(own)).start()).toBe(idOf('v2'))
    const third = await boot(own)
    expect(await third.start()).toBe(idOf('v1'))
    await third.clock.advance(4 * 60_000)
    await third.follower.look()
    expect(third.follower.running).toBe(idOf('v1'))
    await third.clock.advance(60_000)
    await third.follower.look()
    expect(third.follower.running).toBe(idOf('v2'))
    expect(third.log.lines.join('\n')).toContain('is tried again')
    await prove(third)
    expect(third.disk.records).toMatchObject({ confirmed: [idOf('v2'), idOf('v1')], bad: [] })
  })

  it('votes later where Redis is away', async () => {
    await settle('v1')
    const own = await machine()
    const first = await boot(own)
    await first.start()
    first.state.isAway = true
    first.guard.reject({ version: idOf('v2'), rollout: 'try-v2' }, 'no')
    await first.follower.look()
    await first.teller.beat()
    expect((await observations.read()).votes).toEqual([])
    first.state.isAway = false
    await first.follower.look()
    await first.teller.beat()
    expect((await observations.read()).votes).toHaveLength(1)
  })

  it('leaves its last words behind where it was killed, and none where it said that it leaves', async () => {
    await settle('v1')
    const first = await boot(await machine())
    await first.start()
    await candidate('v2')
    await first.follower.look()
    await first.teller.beat()
    // Under the same name, and with nothing on the disk.
    const second = await boot(await machine())
    await second.start()
    await second.teller.beat()
    const died = [{ node: 'a', version: idOf('v2'), isLeaving: false }]
    expect((await observations.read()).died).toMatchObject(died)
    await operate({ kind: 'fail', by: 'c', reason: 'test' })
    await second.follower.look()
    await second.teller.beat()
    await second.teller.leave()
    const third = await boot(await machine())
    await third.start()
    await third.teller.beat()
    expect((await observations.read()).died).toMatchObject(died)
  })

  it('leaves the latest of several votes behind', async () => {
    await settle('v1')
    const own = await machine()
    const { guard, teller, start } = await boot(own)
    await start()
    guard.reject({ version: idOf('v0'), rollout: 'try-v0' }, 'long ago')
    guard.reject({ version: idOf('v2'), rollout: 'try-v2' }, 'now')
    await teller.beat()
    expect((await observations.read()).votes).toMatchObject([{ version: idOf('v2'), reason: 'now' }])
  })

  it('goes on with the only version that there is, however often it has not outlived it', async () => {
    await settle('v1')
    const own = await machine()
    for (let start = 0; start < 4; start++) expect(await (await boot(own)).start()).toBe(idOf('v1'))
  })
})

describe('a version proves itself', () => {
  it('by a minute of good service without a pause', async () => {
    await settle('v1')
    const process = await boot(await machine())
    await process.start()
    await process.teller.beat()
    await process.clock.advance(PROOF_MS / 2)
    process.state.isHealthy = false
    await process.teller.beat()
    process.state.isHealthy = true
    await process.teller.beat()
    await process.clock.advance(PROOF_MS / 2)
    await process.teller.beat()
    expect(process.disk.records.confirmed).toEqual([])
    await process.clock.advance(PROOF_MS / 2)
    await process.teller.beat()
    expect(process.disk.records).toMatchObject({ confirmed: [idOf('v1')], boot: undefined })
  })
})

/** A candidate that the process `a` answers by. */
async function candidate(name: string, id?: string, namespaces?: readonly string[]): Promise<void> {
  await publish(name, id, namespaces)
  await operate({ kind: 'pass-preflight', by: 'c', first: 'a', isServed: true })
  await advance('shadow')
}

async function prove({ teller, clock }: Awaited<ReturnType<typeof boot>>): Promise<void> {
  await teller.beat()
  await clock.advance(PROOF_MS)
  await teller.beat()
}
