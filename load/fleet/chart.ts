// Fleets by their size, as a drawing.

import { type Line, type Panel, powersOfTen } from '../kit/drawing.ts'
import type { Arm, FleetCosts } from './fleet.ts'

export interface Drawn {
  readonly arm: Arm
  readonly fleets: readonly FleetCosts[]
}

type Figure = (fleet: FleetCosts) => number

export function fleetPanels(arms: readonly Drawn[]): Panel[] {
  const of = (names: Readonly<Record<string, Figure>>, shown: readonly Drawn[] = arms) =>
    shown.flatMap(({ arm, fleets }, colour) =>
      Object.entries(names).map(([name, figure], at) => ({
        name: name === '' ? arm : `${arm}: ${name}`,
        points: fleets.map((fleet) => [fleet.nodes, figure(fleet)] as const),
        colour: colour + at * arms.length,
        dashed: at % 2 === 1,
      })),
    )
  const all = (parts: FleetCosts['cores']) => parts.sidecars + parts.nodes + parts.redis
  return [
    panel(
      '% of requests that leave the machine (dashed: asked of Redis)',
      of({ '': (f) => (100 * f.calls) / f.requests, Redis: (f) => (100 * f.redis) / f.requests }),
    ),
    panel('calls a second: Redis (dashed: backends)', of({ Redis: (f) => f.redis, backends: (f) => f.backend })),
    panel(
      'cores: nodes and Redis (dashed: with sidecars)',
      of({ '': (f) => f.cores.nodes + f.cores.redis, all: (f) => all(f.cores) }),
    ),
    panel(
      'memory in GB: nodes (dashed: Redis)',
      of({ nodes: (f) => f.memory.nodes, Redis: (f) => f.memory.redis }, arms.slice(-1)),
    ),
    panel(
      'batch streams that end at one node (dashed: if each sidecar asks all)',
      of({ '': (f) => f.streams, all: (f) => f.sidecars }, arms.slice(-1)),
    ),
  ]
}

function panel(title: string, lines: readonly Line[]): Panel {
  const values = (axis: 0 | 1) => lines.flatMap(({ points }) => points.map((point) => point[axis]))
  return { title: `${title}, by nodes`, x: powersOfTen(values(0)), y: powersOfTen(values(1)), lines }
}
