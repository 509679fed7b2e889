// `intermix rollout` over a real Redis: what is published, shown and decided, and with which exit codes.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import { Observations } from '../../src/rollout/observations.ts'
import { RolloutStore, type Wish } from '../../src/rollout/rollout-store.ts'
import { NO_BASELINE, stageKey } from '../../src/rollout/state.ts'
import { versionId } from '../../src/rollout/version.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { saying } from '../rollout/support.ts'
import { testIo } from './support.ts'

const { link, redis } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const store = new RolloutStore({ link, prefix: 'intermix' })
const observations = new Observations({ link, prefix: 'intermix' })

let folder = ''

const RULE = (name: string) => `apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: { name: of-${name}, namespace: istio-system }
spec: { attributes: { request.path: { valueType: STRING } } }
---
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: ${name}, namespace: istio-system }
spec: { compiledAdapter: denier, params: { status: { code: 7 } } }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: nothing-${name}, namespace: istio-system }
spec: { compiledTemplate: checknothing }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: deny-${name}, namespace: istio-system }
spec:
  match: request.path == "/${name}"
  actions: [{ handler: ${name}, instances: [nothing-${name}] }]
`

async function write(name: string): Promise<string> {
  await writeFile(join(folder, 'rules.yaml'), RULE(name))
  return versionId([{ path: 'rules.yaml', text: RULE(name) }])
}

async function run(...args: string[]) {
  const io = testIo({ env: { INTERMIX_REDIS: redis.url } })
  const code = await runCommand(['rollout', ...args], io)
  return { code, out: io.lines.join('\n'), errors: io.errors.join('\n') }
}

async function json(...args: string[]) {
  const { out, ...rest } = await run(...args, '--json')
  return { ...rest, json: JSON.parse(out) as Record<string, unknown> }
}

/** What a controller does, one after the other. */
async function lead(...wishes: Wish[]): Promise<void> {
  for (const wish of wishes) expect(await store.operate(wish)).toMatchObject({ kind: 'done' })
}

const BEGIN: Wish = { kind: 'begin-preflight', by: 'n1' }
const PASS: Wish = { kind: 'pass-preflight', by: 'n1', first: 'n1', isServed: false }

/** A first version, which is stable after its pre-flight. */
async function settle(name: string): Promise<string> {
  const id = await write(name)
  expect(await run('publish', folder)).toMatchObject({ code: 0 })
  await lead(BEGIN, PASS)
  return id
}

/** Until the candidate is with one node. */
async function toOneNode(name: string, ...flags: string[]): Promise<string> {
  const id = await write(name)
  expect(await run('publish', folder, '--shadow-time', '1ms', '--stage-time', '1ms', ...flags)).toMatchObject({
    code: 0,
  })
  await lead(BEGIN, PASS)
  await expect
    .poll(async () => {
      const wish = {
        kind: 'advance',
        by: 'n1',
        from: 'shadow',
        threshold: 0,
        seen: NO_BASELINE,
        reason: 'fine',
      } as const
      return (await store.operate(wish)).kind
    })
    .toBe('done')
  return id
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'intermix-rollout-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('intermix rollout publish', () => {
  it('stores a folder as a version and begins to roll it out', async () => {
    const id = await write('a')
    const { code, json: told } = await json('publish', folder, '--message', 'first', '--by', 'ann')
    expect([code, told]).toEqual([
      0,
      expect.objectContaining({ result: 'done', version: id, phase: 'preflight', rev: 1 }),
    ])
    const { json: seen } = await json('history')
    expect(seen).toMatchObject({
      versions: [{ id, author: 'ann', message: 'first', files: 1 }],
      log: [{ rev: 1, by: 'ann', event: 'publish' }],
    })
    expect(await run('publish', folder)).toMatchObject({
      code: 0,
      out: `${id.slice(0, 12)} is being rolled out already`,
    })
  })

  it('refuses a config with errors, with all of them, and stores nothing', async () => {
    await writeFile(join(folder, 'a.yaml'), RULE('a').replace('request.path ==', 'request.pth =='))
    await writeFile(join(folder, 'b.yaml'), '{')
    const { code, errors } = await run('publish', folder)
    expect(code).toBe(1)
    expect(errors).toMatch(/a\.yaml.*request\.pth/)
    expect(errors).toMatch(/b\.yaml/)
    expect(errors).toContain('is not published: ')
    expect(await json('history')).toMatchObject({ json: { versions: [], log: [] } })
  })

  it('refuses a folder with more files than a version has', async () => {
    await write('a')
    for (let n = 0; n < 1_000; n++) await writeFile(join(folder, `empty-${n}.yaml`), '---\n')
    const { code, errors } = await run('publish', folder)
    expect([code, errors]).toEqual([1, expect.stringContaining('1001 files: a version has at most 1000')])
  })

  it('refuses what is in quarantine, unless it is to be tried again', async () => {
    await settle('a')
    const id = await write('b')
    await run('publish', folder)
    await lead({ kind: 'fail-preflight', by: 'n1', reason: 'it takes 5 s' })
    const refused = await run('publish', folder)
    expect(refused.code).toBe(1)
    expect(refused.errors).toContain('is in quarantine: it takes 5 s; publish it with --again')
    expect(await json('publish', folder)).toMatchObject({ code: 1, json: { result: 'quarantined' } })
    expect(await json('publish', folder, '--again')).toMatchObject({ code: 0, json: { version: id } })
  })

  it('keeps the pace, what is expected and where to begin', async () => {
    await write('a')
    await run(
      'publish',
      folder,
      '--stage-time',
      '30s',
      '--min-checks',
      '0',
      '--expect',
      'deny-a: +deny',
      '--expect',
      '*: -deny',
      '--first-namespaces',
      'shop,bank',
    )
    const { rollout } = await store.state()
    expect(rollout?.pace).toMatchObject({ stageMs: 30_000, checks: 0, bakeMs: 600_000 })
    expect(rollout?.expectations).toEqual(['deny-a: +deny', '*: -deny'])
    expect(rollout?.namespaces).toEqual(['shop', 'bank'])
  })
})

describe('intermix rollout status', () => {
  it('says where it stands and what it waits for', async () => {
    expect(await run('status')).toMatchObject({ code: 0, out: expect.stringContaining('phase      idle') })
    const stable = await settle('a')
    const id = await toOneNode('b', '--expect', 'deny-b: +deny')
    const state = await store.state()
    const said = saying({ version: id, stage: stageKey(state), rev: state.rev })
    await observations.observe('n1', { ...said, counters: { ...said.counters, checks: 100 } })
    await observations.observe('n2', {
      ...said,
      version: stable,
      counters: { ...said.counters, checks: 900, denials: 9 },
    })
    const { out } = await run('status')
    expect(out).toContain(`candidate  ${id.slice(0, 12)}, published by `)
    expect(out).toMatch(/stage {6}one-node for \d+ s/)
    expect(out).toContain('cohort     1 processes run it')
    expect(out).toContain('next       waits: ')
    expect(out).toMatch(/errors +open +0 of 100 \(0 %\), stable: 0 of 900 \(0 %\): 500 are needed/)
    expect(out).toContain(`processes  2: `)
    const { json: told } = await json('status')
    expect(told).toMatchObject({
      phase: 'one-node',
      stable,
      processes: { present: 2, versions: { [id]: 1, [stable]: 1 } },
      rollout: { candidate: id, firstNode: 'n1', cohort: 1, isPromoted: false, expectations: ['deny-b: +deny'] },
    })
  })

  it('shows flips with examples, which no terminal obeys', async () => {
    await settle('a')
    await write('b')
    await run('publish', folder)
    await lead(BEGIN, PASS)
    const state = await store.state()
    const flips = [{ from: 'allow', to: 'deny', rule: 'deny-b.istio-system', count: 12, examples: ['/b\u001b[2J'] }]
    const shadow = { pairs: 4_000, incomparable: 7, flips }
    await observations.observe('n1', saying({ version: state.stable, stage: stageKey(state), shadow }))
    const { out } = await run('status')
    expect(out).toContain('allow → deny: 12, by rule deny-b.istio-system')
    expect(out).toContain('/b\\u{1b}[2J')
    expect(out).toMatch(/flips +fail +12 unexpected flips \(0\.3 %\) in 4,000 pairs, 7 could not be compared/)
  })
})

describe('intermix rollout diff', () => {
  it('shows what differs, file by file', async () => {
    const stable = await settle('a')
    await writeFile(join(folder, 'more.yaml'), RULE('c'))
    const id = await toOneNode('b')
    expect(id).not.toBe(stable)
    const { code, out } = await run('diff', 'stable', 'candidate')
    expect(code).toBe(0)
    expect(out).toContain('--- /dev/null\n+++ b/more.yaml\n@@ -0,0 +1,')
    expect(out).toContain('--- a/rules.yaml\n+++ b/rules.yaml\n')
    expect(out).toContain('-  match: request.path == "/a"\n')
    expect(out).toContain('+  match: request.path == "/b"\n')
    const { json: told } = await json('diff', stable.slice(0, 8), 'candidate')
    expect(told).toMatchObject({
      from: stable,
      files: [
        { path: 'more.yaml', change: 'added' },
        { path: 'rules.yaml', change: 'changed' },
      ],
    })
    expect(await run('diff', 'stable', 'stable')).toMatchObject({
      code: 0,
      out: expect.stringContaining('are the same'),
    })
    expect(await run('diff', 'stable', '0000')).toMatchObject({
      code: 1,
      errors: expect.stringContaining('no version begins so'),
    })
    expect(await run('diff', 'stable', 'previous')).toMatchObject({
      code: 1,
      errors: expect.stringContaining('no previous version'),
    })
  })
})

describe('intermix rollout, by hand', () => {
  it('pauses, resumes, promotes and aborts', async () => {
    await settle('a')
    await toOneNode('b')
    expect(await run('pause', '--reason', 'lunch')).toMatchObject({
      code: 0,
      out: expect.stringContaining('pause at one-node: lunch (by '),
    })
    expect(await json('pause')).toMatchObject({ code: 0, json: { result: 'unchanged' } })
    expect(await json('resume')).toMatchObject({ code: 0, json: { phase: 'one-node' } })
    expect(await run('promote')).toMatchObject({ code: 0, out: expect.stringContaining('without shares') })
    expect(await json('abort', '--reason', 'no')).toMatchObject({ code: 0, json: { phase: 'rolling-back' } })
    await lead({ kind: 'finish-rollback', by: 'n1' })
    expect(await run('resume')).toMatchObject({ code: 1, errors: 'intermix rollout: no rollout is under way' })
  })

  it('rolls back to a version that was stable before', async () => {
    const first = await settle('a')
    const id = await toOneNode('b')
    await run('promote')
    await store.operate({ kind: 'advance', by: 'n1', from: 'one-node', threshold: 1, seen: NO_BASELINE, reason: '' })
    expect(await run('promote')).toMatchObject({ code: 1, errors: expect.stringContaining('promote --now') })
    expect(await run('promote', '--now')).toMatchObject({ code: 0 })
    expect(await store.state()).toMatchObject({ stable: id, previous: [first] })
    expect(await run('rollback', first.slice(0, 10), '--reason', 'orders fail')).toMatchObject({ code: 0 })
    expect(await store.state()).toMatchObject({ stable: first, previous: [] })
    const { out } = await run('history')
    expect(out).toMatch(new RegExp(`${first.slice(0, 12)} .* stable `))
    expect(out).toMatch(new RegExp(`${id.slice(0, 12)} .* quarantine `))
    expect(Math.max(...out.split('\n').map(({ length }) => length))).toBeLessThan(300)
    expect(await run('rollback')).toMatchObject({ code: 1, errors: expect.stringContaining('nothing to go back to') })
    expect(await run('publish', folder)).toMatchObject({ code: 1, errors: expect.stringContaining('orders fail') })
  })
})

describe('intermix rollout wait', () => {
  it('ends with 0 when the version is stable, and with 1 when it is not to be', async () => {
    const id = await settle('a')
    expect(await run('wait')).toMatchObject({ code: 0, out: `${id.slice(0, 12)} stable: it is the stable version` })
    await toOneNode('b')
    const waiting = json('wait')
    await lead({ kind: 'fail', by: 'n1', reason: 'errors' }, { kind: 'finish-rollback', by: 'n1' })
    expect(await waiting).toMatchObject({ code: 1, json: { outcome: 'rolled-back', reason: 'errors' } })
  })

  it('waits on while Redis does not answer', async () => {
    await settle('a')
    await toOneNode('b')
    const io = testIo({ env: { INTERMIX_REDIS: redis.url } })
    const waiting = runCommand(['rollout', 'wait'], io)
    await expect.poll(() => io.errors.join()).toContain('one-node')
    redis.pause()
    try {
      await expect.poll(() => io.errors.join(), { timeout: 20_000 }).toContain('Redis is away')
    } finally {
      redis.resume()
    }
    await expect
      .poll(
        () =>
          lead({ kind: 'fail', by: 'n1', reason: 'errors' }).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true)
    await lead({ kind: 'finish-rollback', by: 'n1' })
    expect(await waiting).toBe(1)
    expect(io.lines.join()).toContain('rolled-back: errors')
  })

  it('ends with 4 when nothing was decided in time', async () => {
    await settle('a')
    await toOneNode('b')
    const { code, errors } = await run('wait', 'candidate', '--timeout', '20ms')
    expect(code).toBe(4)
    expect(errors).toMatch(/: one-node\n.*nothing was decided within 0\.02 s/)
  })

  it('ends with 1 where there is nothing to wait for', async () => {
    expect(await run('wait')).toMatchObject({ code: 1, errors: expect.stringContaining('no rollout is under way') })
  })
})

describe('a wrong command', () => {
  it.each([
    [['publish'], 'publish: write publish DIR'],
    [['publish', 'a', 'b'], 'b: one too many'],
    [['diff', 'a'], 'diff: write diff A B'],
    [['statsu'], 'did you mean status?'],
    [['pause', '--message', 'x'], '--message: goes with publish, not with pause'],
    [['status', '--timeout', '1s'], '--timeout: goes with wait, not with status'],
    [['publish', 'x', '--expect', 'a: +dney'], 'did you mean deny?'],
    [['publish', 'x', '--stage-time', '0s'], '--stage-time'],
  ])('%j is refused', async (args, words) => {
    expect(await run(...args)).toMatchObject({ code: 2, errors: expect.stringContaining(words) })
  })

  it('is told where Redis is not', async () => {
    const io = testIo()
    expect(await runCommand(['rollout', 'status'], io)).toBe(2)
    expect(io.errors.join()).toContain('--redis: give the URL of the Redis that nodes and workers follow')
    expect(await runCommand(['rollout', 'status', '--redis', 'redis://127.0.0.1:1'], testIo())).toBe(3)
  })
})

describe('intermix rollout repair', () => {
  it('is the way out of a state that cannot be read, to what some process runs', async () => {
    const stable = await settle('a')
    const other = await toOneNode('b')
    const refused = await run('repair', stable)
    expect(refused).toMatchObject({ code: 1, errors: expect.stringContaining('there is nothing to repair') })
    await link.run((client) => client.hset('{intermix-rollout}:state', 'body', '{"stable'))
    const lost = await run('status')
    expect(lost).toMatchObject({ code: 3, errors: expect.stringContaining('field body of {intermix-rollout}:state') })
    const history = await run('history')
    expect(history).toMatchObject({ code: 0, errors: expect.stringContaining('intermix rollout repair VERSION') })
    expect(history.out).toContain(stable.slice(0, 12))
    await observations.observe('n1', saying({ version: stable }))
    const wrong = await run('repair', other)
    expect(wrong).toMatchObject({ code: 1, errors: expect.stringContaining(`name one of ${stable.slice(0, 12)}`) })
    expect(await run('repair')).toMatchObject({ code: 2 })
    expect(await run('repair', stable.slice(0, 8), '--by', 'ann')).toMatchObject({
      code: 0,
      out: expect.stringContaining(`repair: ${stable.slice(0, 12)} is stable: the state was damaged`),
    })
    expect(await store.state()).toMatchObject({ stable, rollout: undefined })
    expect(await json('history')).toMatchObject({
      json: {
        versions: [{}, {}],
        log: expect.arrayContaining([expect.objectContaining({ event: 'repair', by: 'ann' })]),
      },
    })
  })
})
