// The model beside the simulation of small meshes: how far it is to be trusted.

import { type MeshFigures, type MeshSetup, simulateMesh } from '../sharding/simulated-mesh.ts'
import { type FleetFigures, type Group, modelFleet, zipfPopularity } from './model.ts'

export interface Beside {
  readonly simulated: MeshFigures
  /** Shares of all requests, as in the simulation. */
  readonly modelled: Pick<MeshFigures, 'calls' | 'redis' | 'backend'>
}

export function besideSimulation(setup: MeshSetup): Beside {
  const figures = modelFleet({
    groups: groupsOf(setup),
    nodes: setup.nodes,
    entries: setup.entries,
    callerEntries: setup.callerEntries,
    validitySeconds: setup.validityMs / 1_000,
    route: setup.route,
  })
  const share = (of: keyof FleetFigures) => figures[of] / figures.requests
  return {
    simulated: simulateMesh(setup),
    modelled: { calls: share('calls'), redis: share('redis'), backend: share('backend') },
  }
}

/** As the simulation deals keys to callers. */
function groupsOf({ keys, exponent, perSecond, callers, services }: MeshSetup): Group[] {
  if (services === 0) return [{ callers, count: 1, popularity: zipfPopularity(keys, exponent, perSecond) }]
  let total = 0
  for (let rank = 1; rank <= keys; rank++) total += rank ** -exponent
  return Array.from({ length: services }, (_, service) => ({
    callers: Math.floor(callers / services),
    count: 1,
    popularity: Array.from({ length: Math.ceil((keys - service) / services) }, (__, i) => ({
      keys: 1,
      rate: (perSecond * (service + i * services + 1) ** -exponent) / total,
    })),
  }))
}
