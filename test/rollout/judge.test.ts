// What a judge makes of what processes say: guard by guard, and what follows.

import { describe, expect, it } from 'vitest'
import { runsCandidate } from '../../src/rollout/cohort.ts'
import { judge } from '../../src/rollout/judge.ts'
import { NO_COUNTERS, type SeenObservation, type ShadowCounts, type Vote } from '../../src/rollout/observation.ts'
import { type Stage, USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_BASELINE, NO_ROLLOUT, type Rollout, type RolloutState, stageKey } from '../../src/rollout/state.ts'
import { idOf, saying } from './support.ts'

const [STABLE, CANDIDATE] = [idOf('a'), idOf('b')]
/** Long enough for every stage. */
const LATER = 700_000
const MEDIANS = Array.from({ length: 12 }, (_, n) => 100 + n)
const TAILS = MEDIANS.map((us) => us * 100)

interface Scene {
  readonly stage: Stage
  readonly rollout?: Partial<Rollout>
  readonly now?: number
  readonly votes?: readonly Vote[]
  readonly watchedMs?: number
  readonly leapMs?: number
  /** How long `n0` has not been able to serve. */
  readonly illMs?: number
  /** Of `n0`, which runs the candidate or evaluates it; `undefined`: it is not there. */
  readonly canary?: Partial<SeenObservation> | undefined
  readonly others?: Partial<SeenObservation>
  /** Of `n1` alone. */
  readonly odd?: Partial<SeenObservation>
  readonly processes?: number
  /** Starts that have died, of `n0` unless told. */
  readonly dead?: readonly Partial<SeenObservation>[]
}

function stateOf({ stage, rollout }: Scene): RolloutState {
  const base: Rollout = {
    id: 'try',
    candidate: CANDIDATE,
    by: 'ops',
    at: 0,
    since: 0,
    stage,
    status: 'running',
    reason: undefined,
    ending: undefined,
    hasty: false,
    attempts: 1,
    first: 'n0',
    threshold: 0,
    baseline: NO_BASELINE,
    pace: USUAL_PACE,
    expectations: [],
    namespaces: [],
  }
  return { ...NO_ROLLOUT, rev: 7, stable: STABLE, rollout: { ...base, ...rollout } }
}

const counted = (checks: number, more: Partial<SeenObservation['counters']> = {}) => ({
  ...NO_COUNTERS,
  checks,
  medians: MEDIANS,
  ...more,
})

const shadow = (pairs: number, ...flips: readonly [to: string, count: number][]): ShadowCounts => ({
  pairs,
  incomparable: 3,
  flips: flips.map(([to, count]) => ({
    from: to === 'deny' ? 'allow' : 'deny',
    to,
    rule: `${to}-x.shop`,
    count,
    examples: [],
  })),
})

function judged(scene: Scene) {
  const state = stateOf(scene)
  const { now = LATER, votes = [], watchedMs = LATER, illMs = 0, leapMs = 0, processes = 8 } = scene
  const isServing = scene.stage !== 'shadow' && scene.stage !== 'preflight'
  const said = (
    node: string,
    version: string,
    checks: number,
    more: Partial<SeenObservation> = {},
  ): SeenObservation => ({
    ...saying({ version, stage: stageKey(state), counters: counted(checks) }),
    node,
    ageMs: 500,
    ...more,
  })
  const others = Array.from({ length: processes - 1 }, (_, n) =>
    said(`n${n + 1}`, STABLE, 1_000, n === 0 ? { ...scene.others, ...scene.odd } : scene.others),
  )
  const died = (scene.dead ?? []).map((more) => said('n0', CANDIDATE, 0, more))
  const isThere = !('canary' in scene) || scene.canary !== undefined
  const canary = said('n0', isServing ? CANDIDATE : STABLE, 1_000, { shadow: shadow(2_000), ...scene.canary })
  const observations = isThere ? [canary, ...others] : others
  const { decision, guards } = judge({
    state,
    now,
    observed: { observations, died, votes },
    watchedMs,
    illMs: new Map([['n0', illMs]]),
    leapMs,
  })
  const told = decision.action === 'apply' ? decision.event.kind : decision.action
  const why =
    decision.action === 'wait'
      ? decision.reason
      : 'reason' in decision && typeof decision.reason === 'string'
        ? decision.reason
        : ''
  const reason = decision.action === 'apply' && 'reason' in decision.event ? decision.event.reason : why
  return { told, reason, decision, guards }
}

describe('a judge', () => {
  it('lets a candidate pass that nothing speaks against', () => {
    for (const stage of ['shadow', 'one-node', '5%'] as const) {
      const { decision } = judged({ stage })
      expect(decision).toMatchObject({ action: 'apply', event: { kind: 'advance', from: stage } })
    }
    const { decision } = judged({ stage: 'shadow' })
    expect(decision).toMatchObject({ event: { seen: { checks: 8_000, errors: 0 }, threshold: 0 } })
  })

  it('has the pre-flight made, and waits where there is nothing to judge', () => {
    expect(judged({ stage: 'preflight' }).told).toBe('preflight')
    const { decision } = judge({
      state: NO_ROLLOUT,
      now: 0,
      observed: { observations: [], died: [], votes: [] },
      watchedMs: 0,
      illMs: new Map<string, number>(),
      leapMs: 0,
    })
    expect(decision.action).toBe('wait')
  })

  it('pauses a pre-flight that has begun and leads to nothing', () => {
    const preflight: Scene = { stage: 'preflight', now: USUAL_PACE.maxWaitMs }
    expect(judged(preflight)).toMatchObject({ told: 'pause', reason: expect.stringContaining('has led to nothing') })
    expect(judged({ ...preflight, now: USUAL_PACE.maxWaitMs - 1 }).told).toBe('preflight')
    const pace = { ...USUAL_PACE, maxWaitMs: 1 }
    expect(judged({ ...preflight, now: 60_000, rollout: { pace } }).told).toBe('preflight')
    // Nobody was there that could have tried it.
    expect(judged({ ...preflight, rollout: { attempts: 0 } }).told).toBe('preflight')
  })

  it('waits for the time of the stage', () => {
    expect(judged({ stage: 'one-node', now: USUAL_PACE.stageMs - 1_500 })).toMatchObject({
      told: 'wait',
      reason: 'one-node takes 2 s more',
    })
  })

  it.each<[string, Scene]>([
    ['too few requests', { stage: 'one-node', canary: { counters: counted(499) } }],
    ['too few pairs', { stage: 'shadow', canary: { shadow: shadow(999) } }],
    ['no pair', { stage: 'shadow', canary: { shadow: undefined } }],
    ['a node that has not taken it', { stage: 'one-node', canary: { version: STABLE } }],
    ['figures of another stage', { stage: 'one-node', canary: { stage: 'try/shadow/0' } }],
    ['a node that has just fallen silent', { stage: 'one-node', canary: { ageMs: 12_000 } }],
    ['nothing to compare with', { stage: 'one-node', others: { counters: counted(20) } }],
    ['no figures of latency', { stage: 'one-node', canary: { counters: counted(1_000, { medians: [100] }) } }],
    ['no other node that could be the one', { stage: 'one-node', canary: undefined, processes: 1 }],
  ])('never lets pass %s, and pauses in the end', (_, scene) => {
    expect(judged(scene).told).toBe('wait')
    const late = judged({ ...scene, now: USUAL_PACE.maxWaitMs })
    expect(late).toMatchObject({ told: 'pause' })
    expect(late.reason).toContain('inconclusive: ')
  })

  it('compares with what was seen before where all run the candidate', () => {
    const all: Scene = { stage: '100%', others: { version: CANDIDATE } }
    expect(judged(all)).toMatchObject({ told: 'wait' })
    const baseline = { ...NO_BASELINE, checks: 20_000, denials: 20 }
    expect(judged({ ...all, rollout: { baseline } }).told).toBe('advance')
    const others = { version: CANDIDATE, counters: counted(1_000, { denials: 50 }) }
    expect(judged({ ...all, others, rollout: { baseline } })).toMatchObject({ told: 'fail' })
  })

  it.each<[string, Scene, string]>([
    ['errors', { stage: 'one-node', canary: { counters: counted(100, { errors: 10 }) } }, 'errors: 10 of 100 (10 %)'],
    ['what cannot be evaluated', { stage: '25%', canary: { counters: counted(100, { unknowns: 10 }) } }, 'unknowns: '],
    ['denials', { stage: 'one-node', canary: { counters: counted(200, { denials: 10 }) } }, 'denials: '],
    [
      'denials that are gone',
      { stage: 'one-node', others: { counters: counted(1_000, { denials: 200 }) }, canary: { counters: counted(300) } },
      'fewer denials: 0 of 300 (0 %), stable: 1,400 of 7,000 (20 %)',
    ],
    [
      'latency',
      { stage: 'one-node', canary: { counters: counted(1_000, { medians: MEDIANS.map((us) => us * 4) }) } },
      'latency: median 422 µs, stable: 106 µs, up to 356 µs is harmless',
    ],
    [
      'slow checks that are few',
      {
        stage: 'one-node',
        canary: { counters: counted(1_000, { tails: TAILS.map((us) => us * 3) }) },
        others: { counters: counted(1_000, { tails: TAILS }) },
      },
      'slowest checks: p99 32,550 µs, stable: 10,850 µs, up to 21,700 µs is harmless',
    ],
    [
      'flips',
      { stage: 'shadow', canary: { shadow: shadow(300, ['deny', 6]) } },
      'allow → deny: 6, by rule deny-x.shop',
    ],
    [
      'few flips that all go one way',
      { stage: 'shadow', canary: { shadow: shadow(50_000, ['deny', 12]) } },
      'direction of flips: 12 to deny, 0 from it',
    ],
    [
      'a vote',
      { stage: 'one-node', votes: [{ node: 'n0', version: CANDIDATE, reason: 'boom' }] },
      'n0 holds it for bad: boom',
    ],
    [
      'a vote from this attempt, or from none',
      {
        stage: 'shadow',
        votes: [
          { node: 'n1', version: CANDIDATE, rollout: 'try', reason: 'one' },
          { node: 'n2', version: CANDIDATE, rollout: '', reason: 'two' },
        ],
      },
      'n1 holds it for bad: one; n2 holds it for bad: two',
    ],
    [
      'a vote from the shadow',
      { stage: 'shadow', votes: [{ node: 'n0', version: CANDIDATE, reason: 'x' }] },
      'crashes: ',
    ],
    ['a node that died', { stage: 'one-node', canary: { ageMs: 16_000 } }, 'n0 ran it and has been silent for 15 s'],
    [
      'a node that cannot serve',
      { stage: 'one-node', canary: { isHealthy: false }, illMs: 30_000 },
      'n0 cannot serve for 30 s, which others can',
    ],
  ])('rolls back for %s, while paused, too', (_, scene, words) => {
    const failed = judged(scene)
    expect(failed).toMatchObject({ told: 'fail' })
    expect(failed.reason).toContain(words)
    if (!/^(latency|slowest)/.test(words) && !words.startsWith('direction'))
      expect(judged({ ...scene, rollout: { status: 'paused' } }).told).toBe('fail')
  })

  it.each<[string, Scene]>([
    ['a version that is not under way', { stage: 'one-node', votes: [{ node: 'n0', version: STABLE, reason: '' }] }],
    [
      'a vote from another attempt to roll it out',
      { stage: 'one-node', votes: [{ node: 'n0', version: CANDIDATE, rollout: 'try-before', reason: '' }] },
    ],
    [
      'a difference in time that does not matter',
      { stage: 'one-node', canary: { counters: counted(1_000, { medians: MEDIANS.map((us) => us * 2) }) } },
    ],
    [
      'slow checks while its caches are cold',
      {
        stage: 'one-node',
        canary: { counters: counted(1_000, { tails: TAILS.map((us, n) => us * (n < TAILS.length / 2 ? 9 : 1)) }) },
        others: { counters: counted(1_000, { tails: TAILS }) },
      },
    ],
    [
      'slow checks of few of which there are none elsewhere',
      { stage: 'one-node', canary: { counters: counted(1_000, { tails: TAILS }) } },
    ],
    [
      'denials as frequent as elsewhere',
      {
        stage: 'one-node',
        others: { counters: counted(1_000, { denials: 50 }) },
        canary: { counters: counted(1_000, { denials: 55 }) },
      },
    ],
    [
      'flips both ways that are rare',
      { stage: 'shadow', canary: { shadow: shadow(50_000, ['deny', 5], ['allow', 4]) } },
    ],
  ])('holds nothing against a candidate for %s', (_, scene) => expect(judged(scene).told).toBe('advance'))

  it('knows machines of different speed', () => {
    const times = (factor: number) => MEDIANS.map((us) => us * factor)
    const slow = { counters: counted(1_000, { medians: times(13) }) }
    const others = { counters: counted(1_000, { medians: times(10) }) }
    const { guards } = judged({ stage: 'one-node', canary: slow, others })
    const words = 'median 1,372 µs, stable: 1,055 µs, up to 1,305 µs is harmless'
    expect(guards.find(({ name }) => name === 'latency')?.words).toBe(words)
    const spread = { ...NO_BASELINE.spread, latency: 0.2 }
    const uneven = { baseline: { ...NO_BASELINE, spread } }
    expect(judged({ stage: 'one-node', canary: slow, others }).told).toBe('fail')
    expect(judged({ stage: 'one-node', canary: slow, others, rollout: uneven }).told).toBe('advance')
  })

  it('expects what was declared', () => {
    const canary = { shadow: shadow(2_000, ['deny', 100]) }
    expect(judged({ stage: 'shadow', canary }).told).toBe('fail')
    expect(judged({ stage: 'shadow', canary, rollout: { expectations: ['deny-x: +deny'] } }).told).toBe('advance')
    expect(judged({ stage: 'shadow', canary, rollout: { expectations: ['deny-x: +deny <= 1%'] } }).told).toBe('fail')
    const served = { counters: counted(1_000, { denials: 80, denialsBy: { 'deny-x.shop': 80 } }) }
    expect(judged({ stage: 'one-node', canary: served }).told).toBe('fail')
    expect(judged({ stage: 'one-node', canary: served, rollout: { expectations: ['deny-x: +deny'] } }).told).toBe(
      'advance',
    )
    const anything = { counters: counted(1_000, { denials: 900, unknowns: 10 }) }
    const expectations = ['*: +deny', '*: +unknown']
    expect(judged({ stage: 'one-node', canary: anything, rollout: { expectations } }).told).toBe('advance')
  })

  it('needs more than one vote where many run it', () => {
    const vote = (node: string): Vote => ({ node, version: CANDIDATE, reason: 'r' })
    const many: Scene = { stage: '50%', rollout: { threshold: 1 }, others: { version: CANDIDATE }, processes: 40 }
    expect(judged({ ...many, votes: [vote('n3')] }).guards[0]).toMatchObject({ name: 'crashes', verdict: 'pass' })
    expect(judged({ ...many, votes: [vote('n3'), vote('n4')] }).told).toBe('fail')
    // One of ten is more than 5 %.
    expect(judged({ ...many, processes: 10, votes: [vote('n3')] }).told).toBe('fail')
  })

  it('blames nobody for silence that has other reasons', () => {
    // Redis was away: nobody could be heard.
    expect(judged({ stage: 'one-node', canary: { ageMs: 60_000 }, watchedMs: 3_000 }).told).toBe('wait')
    // Others fall silent, too.
    expect(judged({ stage: 'one-node', canary: { ageMs: 16_000 }, others: { ageMs: 16_000 } }).told).toBe('wait')
    const leaving = judged({ stage: 'one-node', canary: { ageMs: 16_000, isLeaving: true } })
    expect(leaving).toMatchObject({ told: 'choose-first' })
    const gone = judged({ stage: 'shadow', canary: undefined })
    expect(gone.decision).toMatchObject({
      event: { kind: 'choose-first', first: expect.stringMatching(/^n[1-7]$/) as string },
    })
  })

  it('works a share out again where no node of its cohort is left', () => {
    const replaced = judged({ stage: '5%', canary: { isLeaving: true }, processes: 21 })
    expect(replaced.decision).toMatchObject({
      event: { kind: 'choose-cohort', from: '5%', first: expect.stringMatching(/^n\d+$/) as string },
    })
    const { event } = replaced.decision as { event: { first: string; threshold: number } }
    const rollout = { ...stateOf({ stage: '5%', rollout: event }).rollout } as Rollout
    const names = Array.from({ length: 20 }, (_, n) => `n${n + 1}`)
    expect(names.filter((node) => runsCandidate(rollout, node))).toEqual([event.first])
    const quarter = judged({ stage: '25%', canary: { isLeaving: true }, processes: 21 }).decision
    const { threshold } = (quarter as { event: { threshold: number } }).event
    expect(names.filter((node) => runsCandidate({ ...rollout, threshold }, node))).toHaveLength(5)
    // Nobody has heard of it for long, as where the whole rollout was paused meanwhile.
    expect(judged({ stage: '5%', canary: undefined }).told).toBe('choose-cohort')
    expect(judged({ stage: '5%', canary: undefined, rollout: { status: 'paused' } }).told).toBe('wait')
    // A worker that is left answers no checks.
    expect(judged({ stage: '5%', canary: { kind: 'worker' }, rollout: { first: 'gone' } }).told).toBe('choose-cohort')
    const worker = { kind: 'worker' } as const
    expect(judged({ stage: '5%', canary: { isLeaving: true }, others: worker }).told).toBe('wait')
  })

  it('replaces no cohort that may have died of the candidate', () => {
    expect(judged({ stage: '5%', canary: { ageMs: 12_000 } }).told).toBe('wait')
    expect(judged({ stage: '5%', canary: { ageMs: 16_000 } }).told).toBe('fail')
    expect(judged({ stage: '5%', canary: { ageMs: 16_000 }, others: { ageMs: 16_000 } }).told).toBe('wait')
    expect(judged({ stage: '5%', canary: undefined, watchedMs: 14_000 }).told).toBe('wait')
    expect(judged({ stage: '100%', canary: { isLeaving: true } }).told).not.toBe('choose-cohort')
    // One of two has left, the other one is silent.
    const odd = { version: CANDIDATE, ageMs: 12_000 }
    expect(judged({ stage: '5%', canary: { isLeaving: true }, odd }).told).toBe('wait')
  })

  it('blames the candidate for those who die while they take it into use', () => {
    // Their last word was of the stable version: after the stage had begun, or so shortly before that they had not learnt of it.
    const dying = { version: STABLE, ageMs: 60_000 }
    expect(judged({ stage: 'one-node', canary: dying })).toMatchObject({ told: 'fail' })
    expect(judged({ stage: 'one-node', canary: dying }).reason).toContain('n0 was to take it up and has been silent')
    const began = { since: LATER - 59_000 }
    expect(judged({ stage: 'one-node', canary: dying, rollout: began }).told).toBe('fail')
    // Who had fallen silent before the stage began did not die of it.
    const before = judged({ stage: 'one-node', canary: dying, rollout: { since: LATER - 40_000 } })
    expect(before.told).toBe('wait')
    // And they are missing where the cohort is counted.
    const most = judged({ stage: '50%', rollout: { threshold: 1 }, others: dying, processes: 5 })
    expect(most.told).toBe('fail')
    expect(most.guards[1]?.words).toContain('1 of 5 processes run it')
  })

  it('blames the candidate for those who were started again, and at once', () => {
    const again = judged({ stage: 'one-node', dead: [{}], watchedMs: 0 })
    expect(again).toMatchObject({ told: 'fail' })
    expect(again.reason).toContain('n0 ran it and died: it was started again')
    expect(judged({ stage: 'one-node', dead: [{ version: STABLE }] }).reason).toContain('n0 was to take it up and died')
    // In another stage of this rollout, too, but in no other rollout, and not for those that run the stable version.
    expect(judged({ stage: '25%', dead: [{ stage: 'try/one-node/0' }] }).told).toBe('fail')
    expect(judged({ stage: 'one-node', dead: [{ stage: 'before/one-node/0' }] }).told).toBe('advance')
    expect(judged({ stage: 'one-node', dead: [{ node: 'n3', version: STABLE }] }).told).toBe('advance')
    // Where as many of the others die, it is another thing that they die of.
    const others = Array.from({ length: 7 }, (_, n) => ({ node: `n${n + 1}`, version: STABLE }))
    expect(judged({ stage: 'one-node', dead: [{}, ...others] }).told).toBe('advance')
    // It is there again: nobody is missing.
    const many: Scene = { stage: '50%', rollout: { threshold: 1 }, others: { version: CANDIDATE }, processes: 40 }
    expect(judged({ ...many, dead: [{}] }).guards[1]?.words).toContain('40 of 40 processes run it')
  })

  it('begins a stage again where Redis has failed over to a machine whose clock is another one', () => {
    const rollout = { since: LATER + 3_600_000 }
    expect(judged({ stage: 'one-node', rollout })).toMatchObject({
      told: 'begin-again',
      reason: 'by the clock of Redis it begins in 3600 s',
    })
    expect(judged({ stage: 'one-node', leapMs: 60_000 }).reason).toBe('the clock of Redis has leapt ahead by 60 s')
    expect(judged({ stage: 'one-node', rollout: { since: LATER + 2_000 }, leapMs: 2_000 }).told).toBe('wait')
    expect(judged({ stage: 'one-node', leapMs: 60_000, canary: { ageMs: 16_000 } }).told).toBe('fail')
    expect(judged({ stage: 'one-node', rollout: { ...rollout, status: 'paused' } }).told).toBe('wait')
  })

  it('compares times only where a node runs the stable version', () => {
    const baseline = { ...NO_BASELINE, checks: 20_000 }
    const alone: Scene = { stage: 'one-node', rollout: { baseline }, processes: 1 }
    expect(judged(alone).told).toBe('advance')
    const quiet = { counters: counted(0, { medians: [] }) }
    expect(judged({ ...alone, processes: 3, others: { ...quiet, kind: 'worker' } }).told).toBe('advance')
    expect(judged({ ...alone, processes: 3, others: quiet }).told).toBe('wait')
    // It is not heard now, which says nothing of it.
    expect(judged({ ...alone, processes: 2, others: { ...quiet, ageMs: 60_000 }, watchedMs: 5_000 }).told).toBe('wait')
  })

  it('lets nobody pass shortly after an outage, when few have been heard', () => {
    for (const rollout of [{}, { hasty: true }]) {
      const early = judged({ stage: 'one-node', rollout, watchedMs: 13_500 })
      expect(early).toMatchObject({ told: 'wait', reason: 'hears processes for 2 s more' })
      // Which is no want of a conclusion.
      expect(judged({ stage: 'one-node', rollout, watchedMs: 0, now: USUAL_PACE.maxWaitMs }).told).toBe('wait')
      expect(judged({ stage: 'one-node', rollout, watchedMs: 15_000 }).told).toBe('advance')
    }
  })

  it('waits for health where others are ill as well, or it has only begun', () => {
    const ill = { isHealthy: false }
    expect(judged({ stage: 'one-node', canary: ill, others: ill, illMs: 60_000 }).told).toBe('wait')
    expect(judged({ stage: 'one-node', canary: ill, illMs: 29_000 }).told).toBe('wait')
    // One of seven that are well is no excuse.
    expect(judged({ stage: 'one-node', canary: ill, illMs: 60_000, odd: ill }).told).toBe('fail')
    expect(judged({ stage: 'one-node', canary: ill, illMs: 60_000, odd: ill, processes: 3 }).told).toBe('wait')
  })

  it('waits for no conclusion where an operator has promoted, but for the time, the node and what fails', () => {
    const rollout = { hasty: true }
    const quiet = { counters: counted(0, { medians: [] }) }
    expect(judged({ stage: 'one-node', rollout, canary: quiet }).told).toBe('advance')
    expect(judged({ stage: 'one-node', rollout, canary: quiet, now: 60_000 }).told).toBe('wait')
    expect(judged({ stage: 'one-node', rollout, canary: { ...quiet, version: STABLE } }).told).toBe('wait')
    expect(judged({ stage: 'shadow', rollout, canary: { shadow: shadow(300, ['deny', 6]) } }).told).toBe('fail')
  })

  it('ends a rollback when nobody runs the candidate, or after a minute', () => {
    const rollout = { status: 'rolling-back' } as const
    expect(judged({ stage: 'one-node', rollout, now: 5_000 })).toMatchObject({
      told: 'wait',
      reason: '1 processes have not gone back yet',
    })
    expect(judged({ stage: 'one-node', rollout, now: 5_000, canary: { version: STABLE } }).told).toBe('finish-rollback')
    expect(judged({ stage: 'one-node', rollout, now: 60_000 }).told).toBe('finish-rollback')
  })
})
