// Redis is never waited for: paused, killed and restarted while requests run, and no answer is lost or wrong.
import { afterEach, describe, expect, it } from 'vitest'
import { CHECK_DEADLINE_MS, type Envoy, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { latencyLine, type Outcome, sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const REQUESTS = 1_000

let mesh: Mesh | undefined
let envoy: Envoy | undefined
afterEach(async () => {
  mesh?.redis.resume()
  await envoy?.stop()
  await mesh?.stop()
  envoy = undefined
  mesh = undefined
})

async function healthyFirst(envoyBinary: string): Promise<{ mesh: Mesh; url: string; healthy: Outcome }> {
  mesh = await startMesh({ nodes: 2, workers: 1 })
  const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
  envoy = await startEnvoy({ binary: envoyBinary, nodePorts, upstreamPort: mesh.upstream.port })
  const healthy = await sendAll({ url: envoy.url, requests: mixedRequests(REQUESTS) })
  expect(healthy.wrong).toEqual([])
  return { mesh, url: envoy.url, healthy }
}

function compare(fault: string, healthy: Outcome, faulty: Outcome): void {
  console.log(`healthy: ${latencyLine(healthy)}; Redis ${fault}: ${latencyLine(faulty)}`)
  expect(faulty.wrong).toEqual([])
  // An answer that waited for Redis would miss Envoy's deadline for a check and become a 503.
  expect(faulty.latencies.at(-1) ?? 0).toBeLessThan(CHECK_DEADLINE_MS)
}

describe.skipIf(binary === undefined)('requests through Envoy while Redis fails', () => {
  it('are answered while Redis is paused, and afterwards', async () => {
    const running = await healthyFirst(binary ?? '')
    const before = {
      [REQUESTS / 4]: () => running.mesh.redis.pause(),
      [(REQUESTS * 3) / 4]: () => running.mesh.redis.resume(),
    }
    compare('paused', running.healthy, await sendAll({ url: running.url, requests: mixedRequests(REQUESTS), before }))
    // Reports were held meanwhile, and are delivered now that Redis answers.
    await expect.poll(() => running.mesh.countedRequests(), { interval: 250 }).toBe(2 * REQUESTS)
  })

  it('are answered while Redis is dead and comes back empty', async () => {
    const running = await healthyFirst(binary ?? '')
    const before = {
      [REQUESTS / 4]: () => running.mesh.redis.kill(),
      [(REQUESTS * 3) / 4]: () => running.mesh.redis.restart(),
    }
    compare('killed', running.healthy, await sendAll({ url: running.url, requests: mixedRequests(REQUESTS), before }))
  })

  it('are answered by nodes that never saw the questions before, from the backends', async () => {
    mesh = await startMesh({ nodes: 2, workers: 0 })
    const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
    envoy = await startEnvoy({ binary: binary ?? '', nodePorts, upstreamPort: mesh.upstream.port })
    mesh.redis.pause()
    const outcome = await sendAll({ url: envoy.url, requests: mixedRequests(REQUESTS) })
    console.log(`cold, Redis paused: ${latencyLine(outcome)}`)
    expect(outcome.wrong).toEqual([])
  })
})
