import { describe, expect, it } from 'vitest'
import { besideSimulation } from '../../load/fleet/beside-simulation.ts'
import { fleetOf, type FleetShape } from '../../load/fleet/fleet.ts'
import { type MeshSetup, simulateMesh } from '../../load/sharding/simulated-mesh.ts'

const SMALL: MeshSetup = {
  nodes: 8,
  entries: 100,
  keys: 4_000,
  exponent: 1,
  perSecond: 5_000,
  seconds: 10,
  fillSeconds: 10,
  validityMs: 20_000,
  seed: 1,
  route: 'key',
  callers: 10,
  services: 0,
  callerEntries: 0,
}

describe('a simulated mesh', () => {
  it('answers more in its nodes where they are asked by key, and asks them evenly', () => {
    const any = simulateMesh({ ...SMALL, route: 'any' })
    const byKey = simulateMesh(SMALL)
    expect(byKey.nodeHits).toBeGreaterThan(any.nodeHits + 0.2)
    expect(byKey.imbalance).toBeLessThan(1.4)
    expect(byKey.backend).toBeCloseTo(any.backend, 3)
  })

  it('keeps keys at their nodes where each caller sees few of them', () => {
    // All have room.
    const few = { ...SMALL, keys: 400, services: 40, callers: 40, validityMs: 1_000 }
    const byKey = simulateMesh(few)
    const one = simulateMesh({ ...few, services: 0, callers: 1 })
    expect(byKey.nodeHits).toBeGreaterThan(one.nodeHits - 0.05)
  })
})

describe('the model of fleets', () => {
  it('says what the simulation does', () => {
    const meshes = [
      { ...SMALL, route: 'any' },
      SMALL,
      { ...SMALL, callerEntries: 400 },
      { ...SMALL, callers: 20, services: 10, callerEntries: 400 },
    ] as const
    for (const mesh of meshes) {
      const { simulated, modelled } = besideSimulation(mesh)
      for (const tier of ['calls', 'redis', 'backend'] as const)
        expect(Math.abs(modelled[tier] / simulated[tier] - 1)).toBeLessThan(0.1)
    }
  })

  it('has what goes in at each tier, and what sidecars and sharding take off it', () => {
    const shape: FleetShape = {
      sidecarsPerNode: 100,
      perSidecar: 1_000,
      sidecarsPerService: 10,
      keysPerService: 20_000,
      nodeEntries: 100_000,
      l1Entries: 10_000,
      validitySeconds: 60,
      nodesPerTenant: 8,
    }
    for (const nodes of [1, 10, 1_000]) {
      const [none, any, byKey] = [
        fleetOf(shape, nodes, 'no sidecars'),
        fleetOf(shape, nodes, 'any node'),
        fleetOf(shape, nodes, 'by key'),
      ]
      for (const { requests, calls, redis, backend } of [none, any, byKey]) {
        expect(requests / (100_000 * nodes)).toBeCloseTo(1, 1)
        expect(calls).toBeLessThanOrEqual(requests * (1 + 1e-9))
        expect(redis).toBeLessThanOrEqual(calls)
        expect(backend).toBeLessThanOrEqual(redis)
        expect(backend).toBeCloseTo(none.backend, 0)
      }
      expect(none.calls / none.requests).toBeCloseTo(1, 6)
      expect(byKey.redis).toBeLessThanOrEqual(any.redis * (1 + 1e-9))
      expect(byKey.streams).toBe(Math.min(100 * nodes, 800))
    }
  })
})
