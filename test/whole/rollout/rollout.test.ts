// Config rollouts over real nodes: what is harmless reaches all of them, and what is not reaches one at most.
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startHttpBackend } from '../../helpers/http-backend.ts'
import { config, rule } from '../../rollout/preflight/configs.ts'
import { NAMESPACE, type RolloutMesh, startMesh } from './mesh.ts'
import { asking } from './poison.ts'

const ADAPTERS = fileURLToPath(new URL('harmful-adapters.mts', import.meta.url))
const NODES = 3
/** Redis answers nobody for so long: more than any of its calls may take, and than a lease lasts. */
const PAUSE_MS = 12_000
/** Half of them denied: what is denied before a backend would be asked can be compared in the shadow. */
const PATHS = ['/', '/admin', '/a', '/admin/a', '/b', '/admin/b']

const STABLE = config(rule('admin', 'request.path.startsWith("/admin")'))

const onEnd = (end: () => unknown) => onTestFinished(async () => void (await end()))

describe('a harmless change', () => {
  it('goes through all stages to all nodes, by a namespace first, and no request fails', async () => {
    const mesh = await startMesh(STABLE, PATHS, { nodes: NODES, workers: 1, onEnd })
    const harmless = config(rule('admin', 'request.path.startsWith("/admin") || request.path == "/nowhere"'))
    mesh.asked()
    const outcome = await mesh.rollOut(harmless, {}, [NAMESPACE])
    expect(outcome).toMatchObject({ outcome: 'stable' })
    expect(mesh.touchedBy(harmless)).toEqual([0, 1, 2, 3])
    expect(mesh.asked()).toMatchObject(Array.from({ length: NODES }, () => ({ failed: 0, moved: 0, changed: 0 })))
    const stages = (await mesh.store.log(50)).map(({ entry }) => entry.replace(/:.*/s, '')).toReversed()
    expect(stages.filter((entry) => entry.includes('→'))).toEqual([
      'shadow → namespaces',
      'namespaces → one-node',
      'one-node → 5%',
      '5% → 25%',
      '25% → 50%',
      '50% → 100%',
    ])
  })
})

describe('a rollout whose controller is killed, and then Redis stands still', () => {
  it('goes on from where it was, through all stages, and no request fails that another node is asked for', async () => {
    const mesh = await startMesh(STABLE, PATHS, { nodes: NODES, onEnd })
    const harmless = config(rule('admin', 'request.path.startsWith("/admin") || request.path == "/elsewhere"'))
    mesh.asked()
    const { ended } = await mesh.begin(harmless)
    const killed = Number((await mesh.killController()).replace('node-', ''))
    const before = await mesh.store.state()
    await mesh.pauseRedis(PAUSE_MS)
    expect(await ended).toMatchObject({ outcome: 'stable' })
    expect(before.rollout?.candidate).toBe((await mesh.store.state()).stable)
    const asked = mesh.asked()
    expect(asked).toMatchObject(Array.from({ length: NODES }, () => ({ failed: 0, changed: 0 })))
    expect(asked.filter(({ moved }, node) => moved > 0 && node !== killed)).toEqual([])
    const log = (await mesh.store.log(50)).toReversed()
    const stages = log.map(({ entry }) => entry.replace(/:.*/s, '')).filter((entry) => entry.includes('→'))
    expect(stages).toEqual(['shadow → one-node', 'one-node → 5%', '5% → 25%', '25% → 50%', '50% → 100%'])
    // Somebody else has led since.
    expect(new Set(log.map(({ by }) => by)).size).toBeGreaterThan(2)
  })
})

describe('a rollout during which a deployment replaces all nodes', () => {
  it('goes through all stages with those that are there', async () => {
    const mesh = await startMesh(STABLE, PATHS, { nodes: 2, onEnd })
    const harmless = config(rule('admin', 'request.path.startsWith("/admin") || request.path == "/anywhere"'))
    const { ended } = await mesh.begin(harmless, { stageMs: 4_000 })
    const stage = async () => (await mesh.store.state()).rollout?.stage
    await expect.poll(stage, { timeout: 120_000 }).toBe('5%')
    const { rollout: before } = await mesh.store.state()
    await mesh.replaceNodes()
    expect(await ended).toMatchObject({ outcome: 'stable' })
    const log = (await mesh.store.log(50)).toReversed()
    expect(log.map(({ event }) => event)).toContain('choose-cohort')
    const stages = log.map(({ entry }) => entry.replace(/:.*/s, '')).filter((entry) => entry.includes('→'))
    expect(stages).toEqual(['shadow → one-node', 'one-node → 5%', '5% → 25%', '25% → 50%', '50% → 100%'])
    expect(before?.first).toMatch(/^node-\d$/)
    // A folder that the old one still used was left alone.
    expect(mesh.output()).toContain('--config-cache cannot be written')
  })
})

describe('programs', () => {
  it('read at any node where a rollout stands, and are told of each change by a webhook', async () => {
    const webhook = await startHttpBackend()
    onTestFinished(() => webhook.close())
    const mesh = await startMesh(STABLE, PATHS, { nodes: 2, flags: ['--rollout-webhook', webhook.url], onEnd })
    const denied = config(rule('admin', 'true'))
    const ended = await mesh.rollOut(denied)
    const views = await mesh.read('/v1/rollout')
    const stable = (await mesh.store.state()).stable
    for (const view of views)
      expect(view).toMatchObject({ phase: 'idle', stable, ended: [{ outcome: ended.outcome }, {}] })
    const events = () => webhook.requests.map(({ body }) => (JSON.parse(body) as { type: string }).type)
    await expect.poll(events).toContain('rollout.fail')
    // The first version may be older than the first node that tells.
    const told = events().slice(events().lastIndexOf('rollout.publish'))
    expect(told.slice(0, 3)).toEqual(['rollout.publish', 'rollout.begin-preflight', 'rollout.pass-preflight'])
    expect(new Set(webhook.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(webhook.count)
  })
})

describe('nodes that start without Redis', () => {
  it('serve by the version that was stable when they last heard', async () => {
    const mesh = await startMesh(STABLE, [], { nodes: 2, onEnd })
    await mesh.restartWithoutRedis()
    expect(mesh.output().match(/starting with a version that was served well by before/g)).toHaveLength(2)
    expect(mesh.touchedBy(STABLE)).toEqual([0, 1])
  })
})

describe('a poison config', () => {
  const ends: (() => unknown)[] = []
  let mesh: RolloutMesh
  beforeAll(async () => {
    const flags = ['--adapters', ADAPTERS]
    mesh = await startMesh(STABLE, PATHS, { nodes: NODES, flags, onEnd: (end) => void ends.push(end) })
  })
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })

  const DENY_ADMIN = rule('admin', 'request.path.startsWith("/admin")')

  it.each([
    ['cannot be compiled', config(rule('admin', 'request.pth == "/"')), 'rejected', 0, /rules\.yaml:5:/],
    ['denies everything', config(rule('admin', 'true')), 'rolled-back', 0, /flips/],
    ['allows everything', config(rule('admin', 'request.path == "/nowhere"')), 'rolled-back', 0, /flips/],
    ['fails for every request', config(DENY_ADMIN, asking('throwing')), 'rolled-back', 1, /error/],
    [
      'ends the process at the third request',
      config(DENY_ADMIN, asking('thirdrequest')),
      'rolled-back',
      1,
      /third request/,
    ],
    [
      'ends the process at its start',
      config(DENY_ADMIN, asking('atstart')),
      'rolled-back',
      1,
      /started 2 times|silent|started again/,
    ],
  ] as const)('that %s touches one node at most, and goes back by itself', async (_, files, outcome, most, because) => {
    mesh.asked()
    const ended = await mesh.rollOut(files)
    expect(ended).toMatchObject({ outcome })
    expect(ended.reason).toMatch(because)
    const asked = mesh.asked()
    const died = asked.flatMap(({ ended: times }, node) => (times > 0 ? [node] : []))
    expect(new Set([...mesh.touchedBy(files), ...died]).size).toBe(most)
    // Nothing is answered otherwise than before, by whichever node.
    expect(asked).toMatchObject(Array.from({ length: NODES }, () => ({ failed: 0, changed: 0 })))
  })
})
