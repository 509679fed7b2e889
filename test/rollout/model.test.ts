// The state machine over a real Redis, before controllers and operators that are late, overtaken, killed, deaf or wrong about
// the time: whatever they do in whatever order, no stage is left out and nothing is done twice.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/kernel/parse-json.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { rolloutKeys } from '../../src/rollout/keys.ts'
import { type Lease, RolloutStore, type StateView, type Wish } from '../../src/rollout/rollout-store.ts'
import { STAGES, USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_BASELINE, NO_ROLLOUT, type RolloutState } from '../../src/rollout/state.ts'
import { readState } from '../../src/rollout/state-json.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { History, type LoggedEvent } from './legal-moves.ts'
import { idOf, NO_WAIT } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000 })
const PREFIX = 'test'
const keys = rolloutKeys(PREFIX)
const SLOW = { ...NO_WAIT, shadowMs: USUAL_PACE.shadowMs }
const CONTROLLERS = 3

/** What was written as each `rev`. */
const written = new Map<number, string>()

/** The link, which keeps what is written through it. */
const watchedLink: RedisLink = Object.assign(Object.create(link) as RedisLink, {
  run: async <T>(operation: Parameters<RedisLink['run']>[0]): Promise<T> => {
    return (await link.run((client) => {
      const evaluate = async (name: 'evalsha' | 'eval', source: string, count: number, args: string[]) => {
        const reply: unknown = await client[name](source, count, ...args)
        if (count === 6 && Array.isArray(reply) && reply[0] === 'done') written.set(Number(reply[1]), args[9] ?? '')
        return reply
      }
      const watched = Object.assign(Object.create(client) as typeof client, {
        evalsha: (source: string, count: number, ...args: string[]) => evaluate('evalsha', source, count, args),
        eval: (source: string, count: number, ...args: string[]) => evaluate('eval', source, count, args),
        xrevrange: client.xrevrange.bind(client),
      })
      return operation(watched)
    })) as T
  },
})
const store = new RolloutStore({ link: watchedLink, prefix: PREFIX })

/** A controller: what it saw last, which may be long ago, and the lease that it believes to hold. */
interface Controller {
  view: StateView | undefined
  lease: Lease | undefined
  /** Of its next change: one whose answer was lost is made again under the same one. */
  token: string
}

interface World {
  state: RolloutState
  history: History
  readonly controllers: Controller[]
  attempts: number
  /** How rollouts ended. */
  readonly ends: Set<string>
}

/** Nothing is foretold: what has come about is held against the rules. */
type Model = Record<string, never>

class Step implements fc.AsyncCommand<Model, World> {
  readonly #name: string
  readonly #act: (world: World) => Promise<unknown>

  constructor(name: string, act: (world: World) => Promise<unknown>) {
    this.#name = name
    this.#act = act
  }

  check = () => true
  toString = () => this.#name

  async run(_: Model, world: World): Promise<void> {
    await this.#act(world)
    await hold(world)
  }
}

/** Holds what was written since the last look against the rules, one change after the other. */
async function hold(world: World): Promise<void> {
  const entries = await link.run((client) => client.xrange(keys.log, '-', '+'))
  for (const [, fields] of entries) {
    const field = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
    const rev = Number(field('rev'))
    if (rev <= world.state.rev) continue
    const after = readState(written.get(rev) ?? '', rev, Number(field('at')))
    world.history.step(world.state, parseJson(field('event')) as LoggedEvent, after)
    world.state = after
    for (const { outcome } of after.ended) world.ends.add(outcome)
  }
  expect((await store.state()).rev).toBe(world.state.rev)
}

const NAMES = ['a', 'b', 'c']
const name = fc.constantFrom(...NAMES)
const who = fc.nat(CONTROLLERS - 1)
const oneInFour = fc.nat(3).map((n) => n === 0)

function publishing(world: World, version: string, pace: typeof NO_WAIT, again: boolean): Wish {
  const id = `try-${++world.attempts}`
  const namespaces = world.attempts % 2 === 0 ? ['shop'] : []
  return { kind: 'publish', version: idOf(version), id, by: 'ops', pace, expectations: [], namespaces, again }
}

const operators: fc.Arbitrary<Wish> = fc.oneof(
  fc.constantFrom<Wish>(
    { kind: 'resume', by: 'ops' },
    { kind: 'promote', by: 'ops', now: true },
    { kind: 'pause', by: 'ops', reason: 'wait' },
    { kind: 'abort', by: 'ops', reason: 'no' },
    { kind: 'rollback', by: 'ops', to: undefined, reason: 'bad' },
  ),
  name.map((version): Wish => ({ kind: 'rollback', by: 'ops', to: idOf(version), reason: 'bad' })),
)

/** What a controller may come to think of what it saw: also what no judge would. */
const thoughts: fc.Arbitrary<Wish> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constant<Wish>({ kind: 'begin-preflight', by: 'c' }),
  },
  {
    weight: 8,
    arbitrary: fc.nat(3).map((n): Wish => ({ kind: 'pass-preflight', by: 'c', first: `n${n}`, isServed: false })),
  },
  { weight: 4, arbitrary: fc.constant<Wish>({ kind: 'fail-preflight', by: 'c', reason: 'r' }) },
  { weight: 2, arbitrary: fc.nat(3).map((n): Wish => ({ kind: 'choose-first', by: 'c', first: `n${n}` })) },
  {
    weight: 4,
    arbitrary: fc
      .record({ from: fc.constantFrom(...STAGES), threshold: fc.double({ min: 0, max: 1, noNaN: true }), n: fc.nat(3) })
      .map(({ n, ...more }): Wish => ({ kind: 'choose-cohort', by: 'c', first: `n${n}`, ...more })),
  },
  { weight: 2, arbitrary: fc.constant<Wish>({ kind: 'begin-again', by: 'c', reason: 'r' }) },
  { weight: 2, arbitrary: fc.constant<Wish>({ kind: 'fail', by: 'c', reason: 'guard' }) },
  { weight: 4, arbitrary: fc.constant<Wish>({ kind: 'finish-rollback', by: 'c' }) },
  {
    weight: 3,
    arbitrary: fc
      .record({ from: fc.constantFrom(...STAGES), threshold: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map((more): Wish => ({ kind: 'advance', by: 'c', seen: NO_BASELINE, reason: 'r', ...more })),
  },
)

/** How far a controller's idea of the time is off, in ms. */
const skew = fc.constantFrom(0, 0, 0, 3_600_000, -3_600_000)

/** What leads on from a state. */
function nextStep({ rollout }: RolloutState, threshold: number): Wish {
  if (rollout?.status === 'rolling-back') return { kind: 'finish-rollback', by: 'c' }
  if (rollout !== undefined && rollout.stage !== 'preflight')
    return { kind: 'advance', by: 'c', from: rollout.stage, threshold, seen: NO_BASELINE, reason: 'r' }
  if (rollout?.attempts === 0) return { kind: 'begin-preflight', by: 'c' }
  if (threshold < 0.1) return { kind: 'fail-preflight', by: 'c', reason: 'r' }
  return { kind: 'pass-preflight', by: 'c', first: 'n1', isServed: false }
}

async function acts(world: World, at: number, wish: Wish | number, skewMs: number): Promise<void> {
  const controller = world.controllers[at]
  if (controller?.view === undefined) return
  const { view, lease, token } = controller
  const meant = typeof wish === 'number' ? nextStep(view.state, wish) : wish
  const mine = lease ?? { epoch: 0, owner: '', isMine: false }
  const [held, before] = [await link.run((client) => client.get(keys.lease)), written.size]
  await store.apply({ ...view, now: view.now + skewMs }, meant, mine, token)
  // Nothing is written by whom the lease has left.
  if (written.size > before) expect(held).toBe(`${mine.epoch} c${at}`)
}

const step = (label: string, act: (world: World) => Promise<unknown>) => new Step(label, act)

const looks = who.map((at) =>
  step(`c${at} looks`, async ({ controllers }) => {
    const controller = controllers[at]
    if (controller === undefined) return
    controller.view = await store.view()
    controller.token = `c${at} ${Math.random()}`
    const lease = await store.lease(`c${at}`)
    if (lease.isMine) controller.lease = lease
  }),
)

const share = fc.double({ min: 0, max: 1, noNaN: true })

/** What a good controller does, so that runs get far. */
const leads = fc.tuple(share, skew).map(([threshold, ms]) =>
  step(`the controller leads ${ms}`, async (world) => {
    const view = await store.view()
    const at = Number(view.controller?.slice(1) ?? 0)
    const lease = await store.lease(`c${at}`)
    Object.assign(world.controllers[at] ?? {}, { view, lease, token: `c${at} ${Math.random()}` })
    await acts(world, at, threshold, ms)
  }),
)

const commands = [
  looks,
  looks,
  fc
    .tuple(who, thoughts, skew)
    .map(([at, wish, ms]) => step(`c${at} ${wish.kind} ${ms}`, (world) => acts(world, at, wish, ms))),
  fc
    .tuple(who, share, skew)
    .map(([at, threshold, ms]) => step(`c${at} goes on ${ms}`, (world) => acts(world, at, threshold, ms))),
  ...Array.from({ length: 8 }, () => leads),
  // The answer is lost: it is made again, and perhaps again when all has changed.
  fc.tuple(who, thoughts).map(([at, wish]) =>
    step(`c${at} ${wish.kind} twice`, async (world) => {
      await acts(world, at, wish, 0)
      await acts(world, at, wish, 0)
    }),
  ),
  who.map((at) =>
    step(`c${at} is killed`, async ({ controllers }) => {
      controllers[at] = { view: undefined, lease: undefined, token: '' }
      await link.run((client) => client.del(keys.lease))
    }),
  ),
  // It stood still for longer than its lease lasts, and believes to hold it.
  fc.constant(step('the lease ends', () => link.run((client) => client.del(keys.lease)))),
  fc
    .tuple(name, oneInFour, fc.boolean())
    .map(([version, isSlow, again]) =>
      step(`publish ${version} ${isSlow} ${again}`, (world) =>
        store.operate(publishing(world, version, isSlow ? SLOW : NO_WAIT, again)),
      ),
    ),
  operators.map((wish) => step(`operator ${wish.kind}`, () => store.operate(wish))),
  fc.constant(step('operator promotes', () => store.operate({ kind: 'promote', by: 'ops', now: false }))),
  fc
    .tuple(operators, operators)
    .map(([one, other]) =>
      step(`operators ${one.kind} ${other.kind}`, () => Promise.all([store.operate(one), store.operate(other)])),
    ),
  fc
    .tuple(name, operators)
    .map(([version, other]) =>
      step(`operators publish ${version} ${other.kind}`, (world) =>
        Promise.all([store.operate(publishing(world, version, NO_WAIT, false)), store.operate(other)]),
      ),
    ),
]

/** From an empty Redis, or from a stable version. */
async function begin(isSettled: boolean, ends: Set<string>): Promise<World> {
  await link.run((client) => client.flushdb())
  written.clear()
  const controllers = Array.from({ length: CONTROLLERS }, () => ({ view: undefined, lease: undefined, token: '' }))
  const world: World = { state: NO_ROLLOUT, history: new History(), controllers, attempts: 0, ends }
  if (!isSettled) return world
  await store.operate(publishing(world, 'a', NO_WAIT, false))
  await store.operate({ kind: 'begin-preflight', by: 'c' })
  await store.operate({ kind: 'pass-preflight', by: 'c', first: undefined, isServed: false })
  await store.operate(publishing(world, 'b', NO_WAIT, false))
  await hold(world)
  return world
}

describe('whatever controllers and operators do', () => {
  it('every change is one that may be, and is made once', async () => {
    const ends = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.commands(commands, { maxCommands: 100, size: 'max' }),
        async (isSettled, list) => {
          const real = await begin(isSettled, ends)
          await fc.asyncModelRun(() => ({ model: {}, real }), list)
        },
      ),
      { numRuns: 250, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: false },
    )
    // The runs have been far enough to mean something.
    expect([...ends].toSorted()).toEqual(['aborted', 'rejected', 'rolled-back', 'stable', 'superseded'])
  })
})
