import { expect, it } from 'vitest'
import type { NodeConfig } from '../../src/client/nodes/nodes.ts'
import { Health } from '../../src/observe/health.ts'
import { NodeReadiness } from '../../src/sidecar/node-readiness.ts'
import { dependencies } from '../server/fixtures.ts'

it('A sidecar is ready from when a node has told its config, and stays so when nodes go', () => {
  const { log } = dependencies()
  const health = new Health()
  const told: NodeConfig = { id: 'c1', vocabulary: new Map(), normalizes: true, allowedAmbiguities: new Set() }
  const nodes = { isHeard: false, known: undefined as NodeConfig | undefined, config: () => nodes.known }
  const readiness = new NodeReadiness({ nodes, health, log })
  const detail = () => health.checks()[0]?.detail
  readiness.look()
  expect([health.ready, detail()]).toEqual([false, 'no node has told its config yet'])
  Object.assign(nodes, { isHeard: true, known: told })
  readiness.look()
  expect([health.ready, detail()]).toEqual([true, 'in touch'])
  nodes.isHeard = false
  for (let look = 0; look < 3; look++) readiness.look()
  expect([health.ready, detail()]).toEqual([true, 'out of touch: going on with what is known'])
  expect(log.warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/^out of touch with all nodes/)])
  nodes.isHeard = true
  readiness.look()
  expect([health.ready, detail()]).toEqual([true, 'in touch'])
})
