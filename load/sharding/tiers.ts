// The meshes that are compared: with sidecars and without, asking any node or one by key.

import type { MeshSetup } from './simulated-mesh.ts'

export interface Tier extends Pick<MeshSetup, 'route' | 'services'> {
  readonly name: string
  /** Whether callers keep answers. */
  readonly isKeeping: boolean
}

const SERVICES = 50

export const TIERS: readonly Tier[] = [
  { name: 'no sidecars, any node', route: 'any', services: 0, isKeeping: false },
  { name: 'no sidecars, by key', route: 'key', services: 0, isKeeping: false },
  { name: 'at gateways, any node', route: 'any', services: 0, isKeeping: true },
  { name: 'at gateways, by key', route: 'key', services: 0, isKeeping: true },
  { name: 'beside services, any node', route: 'any', services: SERVICES, isKeeping: true },
  { name: 'beside services, by key', route: 'key', services: SERVICES, isKeeping: true },
]
