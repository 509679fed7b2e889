// How often harmless candidates are rolled back, and how soon harmful ones: rollouts from beginning to end over simulated meshes.

import { describe, expect, it } from 'vitest'
import { type MeshOptions, rollOut, seeded } from './simulated-mesh.ts'

const NONE = { errors: 0, unknowns: 0, denials: 0 }
const USUAL = { errors: 0.0005, unknowns: 0.0002, denials: 0.01 }
const STRICT = { errors: 0.005, unknowns: 0.001, denials: 0.2 }
const MESH = { nodes: 8, checksPerSecond: 20, flips: 0, stable: NONE, candidate: NONE }
const HARMLESS_ROLLOUTS = 250
const HARMFUL_ROLLOUTS = 200

const many = (count: number, seed: number, options: Omit<MeshOptions, 'random'>) =>
  Array.from({ length: count }, (_, n) => rollOut({ ...options, random: seeded(seed + n) }))

describe('a harmless candidate', () => {
  it.each<[string, Partial<MeshOptions>]>([
    ['of a mesh that denies nothing', {}],
    ['of a usual mesh', { stable: USUAL, candidate: USUAL, flips: 0.0001 }],
    ['of a strict mesh', { stable: STRICT, candidate: STRICT }],
    ['of a mesh whose nodes have callers of their own', { stable: STRICT, candidate: STRICT, unevenness: 0.4 }],
  ])('%s becomes stable, but for one in a hundred', (_, more) => {
    const results = many(HARMLESS_ROLLOUTS, 1, { ...MESH, step: 5, ...more })
    const others = results.filter(({ state }) => state.ended[0]?.outcome !== 'stable')
    expect(others.length).toBeLessThanOrEqual(HARMLESS_ROLLOUTS / 100)
  })
})

describe('a candidate that denies one request in a hundred wrongly', () => {
  it.each<[string, Partial<MeshOptions>]>([
    ['where nothing is denied', { flips: 0.01, candidate: { ...NONE, denials: 0.01 } }],
    ['where a fifth is denied', { flips: 0.01, stable: STRICT, candidate: { ...STRICT, denials: 0.21 } }],
  ])('is found in the shadow within a thousand requests %s', (_, more) => {
    const results = many(HARMFUL_ROLLOUTS, 1_000, { ...MESH, ...more })
    expect(results.filter(({ stage }) => stage !== 'shadow')).toEqual([])
    const late = results.filter(({ canaryChecks }) => canaryChecks > 1_000)
    expect(late.length).toBeLessThanOrEqual(HARMFUL_ROLLOUTS * 0.02)
  })

  it('is found at the one node, should the shadow have seen nothing', () => {
    const results = many(HARMFUL_ROLLOUTS, 2_000, { ...MESH, candidate: { ...NONE, denials: 0.01 } })
    expect(results.filter(({ stage }) => stage !== 'one-node')).toEqual([])
    const late = results.filter(({ canaryChecks }) => canaryChecks > 1_000)
    expect(late.length).toBeLessThanOrEqual(HARMFUL_ROLLOUTS * 0.1)
  })
})

describe('a candidate that is poison', () => {
  it.each<[string, Partial<MeshOptions>]>([
    ['denies all', { candidate: { ...NONE, denials: 1 } }],
    ['allows all', { stable: STRICT, candidate: { ...STRICT, denials: 0 } }],
    ['fails at every third request', { candidate: { ...NONE, errors: 0.3 } }],
    ['cannot evaluate a rule', { candidate: { ...NONE, unknowns: 0.2 } }],
  ])('never gets beyond the one node where it %s', (_, more) => {
    const results = many(20, 3_000, { ...MESH, ...more })
    expect(results.every(({ stage, state }) => stage === 'one-node' && state.rollout?.status === 'rolling-back')).toBe(
      true,
    )
  })
})
